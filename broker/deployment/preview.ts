import { generatorById } from '../generator/store.ts';
import type { Sql } from '../store/orm.ts';
import { requireAllowed } from './limits.ts';
import * as store from './store.ts';
import { maxNamedAgents, type Submission, type SubmitResult } from './submit.ts';

/** Returns what a submission would change, without writing anything. PERMISSION_DENIED as for the submission itself. */
export async function preview(db: Sql, { stack, manifest }: Submission): Promise<SubmitResult> {
  requireAllowed(await generatorById(db, stack.generatorId), manifest.objects);
  const { warnings } = manifest;
  const agents = await store.servingAgents(db, stack.id, maxNamedAgents);
  const before = await store.currentDeployment(db, stack);
  return before?.checksum.equals(Buffer.from(manifest.checksum))
    ? { deployment: before, isUnchanged: true, changes: [], agents, warnings }
    : { deployment: undefined, isUnchanged: false, changes: manifest.changes, agents, warnings };
}
