import { agentObjectReason } from '../../contract/agent-objects.ts';
import { denialReason } from '../../contract/generator-limits.ts';
import { unservedText } from '../kube/api-error.ts';
import { appliedForm } from '../manifest/applied-form.ts';
import { definitionsIn, type ManifestObject, placeObject, stampObject } from '../manifest/parse.ts';
import type { DesiredObject } from '../object/desired-object.ts';
import { groupOf, keyOf, objectIdOf } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Pass, SyncContext } from './context.ts';

/** The generator of admins, whose stacks may configure the agent itself. */
const systemGenerator = 'system';

export interface ResolvedObjects {
  readonly desired: DesiredObject[];
  /** One failure for each object that cannot be applied here. */
  readonly failures: Change[];
  /**
   * One failure for each object whose kind is not served yet: it counts only if the manifest's own definition is not applied first.
   */
  readonly unserved: Change[];
}

/**
 * Fills in each object's namespace, sets the stack's marks, and checks that the cluster serves its kind and that the stack's
 * generator may deploy it. A kind that is not served may still be defined by the manifest itself.
 */
export async function resolveObjects(
  { cluster, scope, agentNamespace, inventories }: SyncContext,
  objects: readonly ManifestObject[],
  { entry, signal }: Pass,
): Promise<ResolvedObjects> {
  const definitions = definitionsIn(objects);
  const desired: DesiredObject[] = [];
  const failures: Change[] = [];
  const unserved: Change[] = [];
  const keys = new Set<string>();
  for (const { object, checksum } of objects) {
    const { apiVersion, kind } = object;
    const resource = await cluster.discovery.find(apiVersion, kind, signal);
    const own = definitions.find((definition) => definition.group === groupOf(apiVersion) && definition.kind === kind);
    const fail = (message: string, id = objectIdOf(object)) => failures.push({ object: id, action: 'failed', message });
    if (!resource && !own) {
      fail(unservedText(object));
      continue;
    }
    const namespaced = resource?.namespaced ?? own?.namespaced ?? false;
    const placed = placeObject(object, namespaced, scope);
    if ('refusal' in placed) {
      fail(placed.refusal);
      continue;
    }
    const id = objectIdOf(placed.object);
    // A manifest may list an object once without a namespace, and once with the default one.
    if (keys.has(keyOf(id))) fail('is listed twice');
    keys.add(keyOf(id));
    const violation = inventories.isInventory(placed.object)
      ? 'it is one of the agent’s inventories'
      : ((entry.generator === systemGenerator ? undefined : agentObjectReason(id, agentNamespace)) ??
        (entry.limits && denialReason(entry.limits, id, namespaced)));
    if (violation !== undefined) {
      fail(`generator ${entry.generator} may not deploy it: ${violation}`, id);
      continue;
    }
    if (!resource) unserved.push({ object: id, action: 'failed', message: unservedText(id) });
    desired.push({ id, object: stampObject(appliedForm(placed.object), entry.stackId, checksum), checksum });
  }
  return { desired, failures, unserved };
}
