import type { Core } from '../core/core.ts';
import { type JsonObject, textAt, valueAt } from '../core/object.ts';

/** The group versions that APIServices delegate to a Service. Nothing answers for them here, as when the Service has no pods. */
function delegated(core: Core): { group: string; version: string }[] {
  return core.store.list('apiregistration.k8s.io/apiservices').flatMap((object) => {
    const [group, version] = [textAt(object, 'spec.group'), textAt(object, 'spec.version')];
    return group && version && valueAt(object, 'spec.service') ? [{ group, version }] : [];
  });
}

/** Lists the delegated groups as discovery does, which does not ask whether anything answers for them. */
export function aggregatedGroups(core: Core): JsonObject[] {
  return delegated(core).map(({ group, version }) => {
    const item = { groupVersion: `${group}/${version}`, version };
    return { name: group, versions: [item], preferredVersion: item };
  });
}

/** Returns whether the path belongs to a delegated group version. */
export function isAggregated(core: Core, path: string): boolean {
  return delegated(core).some(({ group, version }) => `${path}/`.startsWith(`/apis/${group}/${version}/`));
}
