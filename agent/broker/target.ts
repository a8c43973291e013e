import { conflictPolicies, driftPolicies, enumName, onDeletes, placementStates } from '../../contract/enum-names.ts';
import type { TargetEntry, TargetGenerator } from '../../contract/target-state.ts';
import type {
  TargetEntry as EntryMessage,
  TargetGenerator as GeneratorMessage,
} from '../../gen/brokkr/v1/target_state_pb.ts';
import { BrokerError } from './error.ts';

/** Reads an entry of the target state. Settings that this version does not know count as the default; without a state it throws. */
export function toEntry(message: EntryMessage): TargetEntry {
  const state = enumName(placementStates, message.state);
  const onDelete = enumName(onDeletes, message.onDelete);
  if (!state || !onDelete)
    throw new BrokerError('unavailable', 'an entry of the target state is incomplete', undefined);
  return {
    stackId: message.stackId,
    stack: message.stack,
    generator: message.generator,
    deploymentId: message.deploymentId,
    revision: message.revision,
    order: message.order,
    state,
    generation: message.generation,
    checksum: toHex(message.checksum),
    size: Number(message.size),
    onDelete,
    held: message.held,
    confirmed: message.confirmed,
    confirmedKeys: message.confirmedKeys,
    kinds: message.kinds,
    reason: message.reason,
    serviceAccount: message.serviceAccount,
    drift: enumName(driftPolicies, message.drift) ?? 'repair',
    ignoredFields: message.ignoredFields.map(({ kind, name, paths }) => ({ kind, name, paths })),
    conflict: enumName(conflictPolicies, message.conflict) ?? 'adopt',
    forceReplace: message.forceReplace,
    dependsOnIds: message.dependsOnIds,
    traceParent: message.traceParent,
  };
}

/** Reads a generator of the target state; without rules it throws, because nothing may then be applied for it. */
export function toGenerator({ generator, rules }: GeneratorMessage): TargetGenerator {
  if (!rules) throw new BrokerError('unavailable', 'a generator of the target state has no rules', undefined);
  const { allowNamespaces, denyNamespaces, allowKinds, denyKinds, clusterScoped } = rules;
  return { generator, limits: { allowNamespaces, denyNamespaces, allowKinds, denyKinds, clusterScoped } };
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

export function fromHex(hex: string): Uint8Array {
  return Buffer.from(hex, 'hex');
}
