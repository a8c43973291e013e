import { denialReason } from '../../contract/generator-limits.ts';
import { unservedText } from '../kube/api-error.ts';
import { definitionsIn, type ManifestObject, placeObject, stampObject } from '../manifest/parse.ts';
import { groupOf, idOf, keyOf } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import type { Pass, SyncContext } from './context.ts';
import type { Desired } from './plan.ts';

/** Puts each object where it belongs and marks it. A kind that nobody serves may still be defined by the manifest itself. */
export async function resolveObjects(
  { cluster, scope, inventories }: SyncContext,
  objects: readonly ManifestObject[],
  { entry, signal }: Pass,
): Promise<{ desired: Desired[]; failed: Change[]; unknown: Change[] }> {
  const definitions = definitionsIn(objects);
  const desired: Desired[] = [];
  const faults: Change[] = [];
  const unknown: Change[] = [];
  const seen = new Set<string>();
  for (const { object, checksum } of objects) {
    const { apiVersion, kind } = object;
    const resource = await cluster.discovery.find(apiVersion, kind, signal);
    const own = definitions.find((definition) => definition.group === groupOf(apiVersion) && definition.kind === kind);
    const fault = (message: string): Change => ({ object: idOf(object), action: 'failed', message });
    if (!resource && !own) {
      faults.push(fault(unservedText(object)));
      continue;
    }
    const namespaced = resource?.namespaced ?? own?.namespaced ?? false;
    const placed = placeObject(object, namespaced, scope);
    if ('refusal' in placed) {
      faults.push(fault(placed.refusal));
      continue;
    }
    const id = idOf(placed.object);
    // Once without a namespace, once with the default one.
    if (seen.has(keyOf(id))) faults.push(fault('is listed twice'));
    seen.add(keyOf(id));
    const violation = inventories.isInventory(placed.object)
      ? 'it is one of the agent’s inventories'
      : entry.limits && denialReason(entry.limits, id, namespaced);
    if (violation !== undefined) {
      const message = `generator ${entry.generator} may not deploy it: ${violation}`;
      faults.push({ object: id, action: 'failed', message });
      continue;
    }
    if (!resource) unknown.push({ object: id, action: 'failed', message: unservedText(id) });
    desired.push({ id, object: stampObject(placed.object, entry.stackId, checksum), checksum });
  }
  return { desired, failed: faults, unknown };
}
