import { mapConcurrent } from '../../concurrency/semaphore.ts';
import { hasStatus, isUnreachable } from '../../kube/api-error.ts';
import type { Cluster } from '../../kube/cluster.ts';
import { passConcurrency } from '../../kube/read-objects.ts';
import { isSecret } from '../../manifest/applied-form.ts';
import type { DesiredObject, LiveObjects } from '../../object/desired-object.ts';
import type { TakenFields } from '../../object/field-set.ts';
import { isOwnApply, isRecord, type KubeObject, keyOf, type ManagedFields } from '../../object/kube-object.ts';
import { differences, fieldOf, pathText } from '../../object/managed-fields.ts';
import type { Change } from '../../target/stack-event.ts';
import { giveBack, takeOver } from './take-over.ts';

/** The fields that the agent has taken over from other managers of an object. */
export interface Adoption {
  /** The managers whose fields were taken over. */
  readonly managers: readonly string[];
  /** Paths of the fields that the apply changes or removes. */
  readonly fields: readonly string[];
}

/**
 * Managers that write what a manifest says. Those of kubectl's single commands, such as `kubectl-rollout` and `kubectl-scale`, are not
 * among them: what they write is in no manifest.
 */
const manifestManagers: ReadonlySet<string> = new Set([
  'before-first-apply',
  'kubectl',
  'kubectl-client-side-apply',
  'kubectl-create',
  'kubectl-edit',
  'kubectl-last-applied',
  'kubectl-patch',
  'kubectl-replace',
]);

/**
 * Takes over the fields of kubectl's managers in the objects that are adopted, so that what the manifest does not contain goes, now
 * and in later revisions. Nothing but the record of ownership is written. An object that could not be applied then is left as it was.
 */
export async function adoptFields(
  cluster: Cluster,
  adopted: readonly DesiredObject[],
  live: LiveObjects,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Adoption>> {
  const adoptions = new Map<string, Adoption>();
  await mapConcurrent(adopted, passConcurrency, async (wanted) => {
    const found = live.get(keyOf(wanted.id));
    const managers = found?.metadata.managedFields?.flatMap((owner) => (writesManifests(owner) ? owner : [])) ?? [];
    if (!found || managers.length === 0) return;
    const fields = await takeAndCheck(cluster, wanted, found, { managers: writesManifests }, signal);
    if (!fields) return;
    const names = new Set(managers.flatMap(({ manager }) => manager ?? []));
    adoptions.set(keyOf(wanted.id), { managers: [...names], fields });
  });
  return adoptions;
}

/**
 * Makes the agent the owner of the keys of Secrets that earlier agents applied as `stringData`, which left them without an owner, so
 * that the keys that the manifest no longer has go.
 */
export async function ownTextsOfSecrets(
  cluster: Cluster,
  writes: readonly DesiredObject[],
  live: LiveObjects,
  signal: AbortSignal,
): Promise<void> {
  await mapConcurrent(writes, passConcurrency, async ({ id }) => {
    const found = isSecret(id) ? live.get(keyOf(id)) : undefined;
    if (found) await takeOver(cluster, found, (now) => ({ paths: ownTextsOf(now) }), signal);
  });
}

/** Returns the paths of the keys that the agent owns as `stringData`, as those of the data. */
function ownTextsOf({ metadata }: KubeObject): string[][] {
  const texts = fieldOf(metadata.managedFields?.find(isOwnApply)?.fieldsV1, 'stringData');
  const keys = isRecord(texts) ? Object.keys(texts).filter((name) => name.startsWith('f:')) : [];
  return keys.map((key) => ['f:data', key]);
}

/** Returns the changes; those of adopted objects say whose fields were taken over, and which fields changed. */
export function explainAdoptions(changes: readonly Change[], adoptions: ReadonlyMap<string, Adoption>): Change[] {
  return changes.map((change) => {
    const adoption = adoptions.get(keyOf(change.object));
    if (!adoption || change.message !== '') return change;
    const { managers, fields } = adoption;
    return { ...change, fields, message: `adopted, with the fields of ${managers.join(', ')}` };
  });
}

function writesManifests({ manager, subresource }: ManagedFields): boolean {
  return (subresource ?? '') === '' && manifestManagers.has(manager ?? '');
}

/** Takes over fields, and returns which ones the apply will change; gives them back when the API server would refuse the apply. */
async function takeAndCheck(
  cluster: Cluster,
  { id, object }: DesiredObject,
  found: KubeObject,
  fields: TakenFields,
  signal: AbortSignal,
): Promise<string[] | undefined> {
  const takeover = await takeOver(cluster, found, () => fields, signal);
  const resource = takeover && (await cluster.discovery.find(id.apiVersion, id.kind, signal));
  if (!takeover || !resource) return undefined;
  try {
    const { object: applied } = await cluster.apply(object, resource, { dryRun: true, force: true }, signal);
    return differences(takeover.taken, applied).map(pathText).filter(isNoMark);
  } catch (error) {
    if (signal.aborted || isUnreachable(error)) throw error;
    if (!hasStatus(error, 422)) return [];
    await giveBack(cluster, takeover, signal);
    return undefined;
  }
}

function isNoMark(path: string): boolean {
  return !path.includes('"k8s.brokkr.io/');
}
