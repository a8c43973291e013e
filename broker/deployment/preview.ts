import { generatorById } from '../generator/store.ts';
import type { Sql } from '../store/database.ts';
import { requireAllowed } from './limits.ts';
import * as store from './store.ts';
import { isSameContent, maxNamedAgents, type Submission, type SubmitResult } from './submit.ts';

/** Returns what a submission would change, without writing anything. PERMISSION_DENIED as for the submission itself. */
export async function preview(db: Sql, { stack, manifest, namespace }: Submission): Promise<SubmitResult> {
  requireAllowed(await generatorById(db, stack.generatorId), manifest.objects);
  const agents = await store.servingAgents(db, stack.id, maxNamedAgents);
  const before = await store.currentDeployment(db, stack);
  const common = { agents, warnings: manifest.warnings, namespace };
  return isSameContent(before, manifest, namespace)
    ? { ...common, deployment: before, isUnchanged: true, changes: [] }
    : { ...common, deployment: undefined, isUnchanged: false, changes: manifest.changes };
}
