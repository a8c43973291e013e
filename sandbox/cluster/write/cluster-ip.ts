import type { Core } from '../core/core.ts';
import { type KubeObject, objectAt, textAt } from '../core/object.ts';

/** Allocates the cluster IP of a new Service, and keeps that of a live one when an update leaves it out. */
export function assignClusterIp(core: Core, object: KubeObject, liveObject: KubeObject | undefined): KubeObject {
  const spec = objectAt(object, 'spec');
  if (spec.type === 'ExternalName' || spec.clusterIP) return object;
  const clusterIP = textAt(liveObject, 'spec.clusterIP') ?? nextAddress(core);
  const single = { clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' };
  return { ...object, spec: { ...spec, ...single } };
}

function nextAddress(core: Core): string {
  const taken = new Set(core.store.list('/services').map((service) => textAt(service, 'spec.clusterIP')));
  for (let n = 10; ; n++) {
    const address = `10.96.${(n >> 8) & 255}.${n & 255}`;
    if (!taken.has(address)) return address;
  }
}
