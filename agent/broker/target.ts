import { PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import { ConflictPolicy, DriftPolicy, OnDelete } from '../../gen/brokkr/v1/stack_pb.ts';
import type { TargetGenerator as GeneratorMessage, TargetEntry } from '../../gen/brokkr/v1/target_state_pb.ts';
import type { Entry, TargetGenerator } from '../target/target-state.ts';
import { BrokerError } from './error.ts';

/** Without one, the default. */
const drifts: Partial<Record<number, Entry['drift']>> = {
  [DriftPolicy.REPAIR]: 'repair',
  [DriftPolicy.REPORT]: 'report',
  [DriftPolicy.IGNORE]: 'ignore',
};
const conflicts: Partial<Record<number, Entry['conflict']>> = {
  [ConflictPolicy.ADOPT]: 'adopt',
  [ConflictPolicy.REFUSE]: 'refuse',
};

export function toEntry(entry: TargetEntry): Entry {
  const state = ({ [PlacementState.ACTIVE]: 'active', [PlacementState.REMOVING]: 'removing' } as const)[
    entry.state as 1 | 2
  ];
  const onDelete = ({ [OnDelete.PRUNE]: 'prune', [OnDelete.ORPHAN]: 'orphan' } as const)[entry.onDelete as 1 | 2];
  const drift = drifts[entry.drift] ?? 'repair';
  const conflict = conflicts[entry.conflict] ?? 'adopt';
  if (!state || !onDelete) throw new BrokerError('unavailable', 'an entry of the target state is not whole', undefined);
  return {
    stackId: entry.stackId,
    stack: entry.stack,
    generator: entry.generator,
    deploymentId: entry.deploymentId,
    revision: entry.revision,
    order: entry.order,
    state,
    generation: entry.generation,
    checksum: toHex(entry.checksum),
    size: Number(entry.size),
    onDelete,
    held: entry.held,
    confirmed: entry.confirmed,
    confirmedKeys: entry.confirmedKeys,
    kinds: entry.kinds,
    reason: entry.reason,
    serviceAccount: entry.serviceAccount,
    drift,
    ignoredFields: entry.ignoredFields.map(({ kind, name, paths }) => ({ kind, name, paths })),
    conflict,
    dependsOnIds: entry.dependsOnIds,
    traceParent: entry.traceParent,
  };
}

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
