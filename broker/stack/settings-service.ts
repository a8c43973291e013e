import { create } from '@bufbuild/protobuf';
import {
  ConflictPolicy,
  type CreateStackRequest,
  DriftPolicy,
  type IgnoredFields as IgnoredFieldsMessage,
  IgnoredFieldsSchema,
  OnDelete,
  type UpdateStackRequest,
} from '../../gen/brokkr/v1/stack_pb.ts';
import { type Conflict, checkIgnoredFields, type Drift, type IgnoredFields } from './rules.ts';
import type { Settings } from './store.ts';

/** The fields of a stack that an update writes under its mask. */
export const maskPaths = ['selector', 'on_delete', 'drift', 'ignored_fields', 'conflict', 'depends_on'] as const;

/** What a new stack is made with; unspecified means the default. */
export function allSettings(request: CreateStackRequest | UpdateStackRequest): Settings {
  return {
    onDelete: request.onDelete === OnDelete.ORPHAN ? 'orphan' : 'prune',
    drift: nameOf(drifts, request.drift) ?? 'repair',
    conflict: nameOf(conflicts, request.conflict) ?? 'adopt',
    ignoredFields: checkIgnoredFields(request.ignoredFields),
  };
}

/** What an update writes: only what its mask names. */
export function maskedSettings(request: UpdateStackRequest, mask: readonly string[]): Partial<Settings> {
  const { onDelete, drift, conflict, ignoredFields } = allSettings(request);
  return {
    ...(mask.includes('on_delete') && { onDelete }),
    ...(mask.includes('drift') && { drift }),
    ...(mask.includes('conflict') && { conflict }),
    ...(mask.includes('ignored_fields') && { ignoredFields }),
  };
}

/** Settings as fields of a message. */
export function settingsMessage(settings: {
  readonly onDelete: 'prune' | 'orphan';
  readonly drift: Drift;
  readonly conflict: Conflict;
  readonly ignoredFields: readonly IgnoredFields[];
}): { onDelete: OnDelete; drift: DriftPolicy; conflict: ConflictPolicy; ignoredFields: IgnoredFieldsMessage[] } {
  return {
    onDelete: settings.onDelete === 'orphan' ? OnDelete.ORPHAN : OnDelete.PRUNE,
    drift: drifts[settings.drift],
    conflict: conflicts[settings.conflict],
    ignoredFields: settings.ignoredFields.map(({ kind, name, paths }) =>
      create(IgnoredFieldsSchema, { kind, name, paths: [...paths] }),
    ),
  };
}

const drifts = {
  repair: DriftPolicy.REPAIR,
  report: DriftPolicy.REPORT,
  ignore: DriftPolicy.IGNORE,
} as const satisfies Record<Drift, DriftPolicy>;

const conflicts = {
  adopt: ConflictPolicy.ADOPT,
  refuse: ConflictPolicy.REFUSE,
} as const satisfies Record<Conflict, ConflictPolicy>;

function nameOf<Name extends string>(numbers: Readonly<Record<Name, number>>, value: number): Name | undefined {
  return (Object.keys(numbers) as Name[]).find((name) => numbers[name] === value);
}
