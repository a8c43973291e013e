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
import { type Conflict, checkIgnoredFields, type Drift, type Settings } from './rules.ts';

/** The fields that an update mask of a stack may name. */
export const maskPaths = ['selector', 'on_delete', 'drift', 'ignored_fields', 'conflict', 'depends_on'] as const;

/** Reads the settings of a new stack; unspecified means the default. */
export function allSettings(request: CreateStackRequest | UpdateStackRequest): Settings {
  return {
    onDelete: request.onDelete === OnDelete.ORPHAN ? 'orphan' : 'prune',
    drift: nameOf(drifts, request.drift) ?? 'repair',
    conflict: nameOf(conflicts, request.conflict) ?? 'adopt',
    ignoredFields: checkIgnoredFields(request.ignoredFields),
  };
}

/** Reads the settings that an update's mask names. */
export function maskedSettings(request: UpdateStackRequest, mask: readonly string[]): Partial<Settings> {
  const { onDelete, drift, conflict, ignoredFields } = allSettings(request);
  return {
    ...(mask.includes('on_delete') && { onDelete }),
    ...(mask.includes('drift') && { drift }),
    ...(mask.includes('conflict') && { conflict }),
    ...(mask.includes('ignored_fields') && { ignoredFields }),
  };
}

/** Converts settings to the fields of a message. */
export function settingsMessage(settings: Settings): {
  onDelete: OnDelete;
  drift: DriftPolicy;
  conflict: ConflictPolicy;
  ignoredFields: IgnoredFieldsMessage[];
} {
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
