import { create } from '@bufbuild/protobuf';
import { conflictPolicies, driftPolicies, enumName, onDeletes } from '../../contract/enum-names.ts';
import {
  type ConflictPolicy,
  type CreateStackRequest,
  type DriftPolicy,
  type IgnoredFields as IgnoredFieldsMessage,
  IgnoredFieldsSchema,
  type OnDelete,
  type UpdateStackRequest,
} from '../../gen/brokkr/v1/stack_pb.ts';
import { checkIgnoredFields, type Settings } from './rules.ts';

/** The fields that an update mask of a stack may name. */
export const maskPaths = [
  'selector',
  'on_delete',
  'drift',
  'ignored_fields',
  'conflict',
  'depends_on',
  'force_replace',
] as const;

/** Reads the settings of a new stack; unspecified means the default. */
export function allSettings(request: CreateStackRequest | UpdateStackRequest): Settings {
  return {
    onDelete: enumName(onDeletes, request.onDelete) ?? 'prune',
    drift: enumName(driftPolicies, request.drift) ?? 'repair',
    conflict: enumName(conflictPolicies, request.conflict) ?? 'adopt',
    ignoredFields: checkIgnoredFields(request.ignoredFields),
    forceReplace: request.forceReplace,
  };
}

/** Reads the settings that an update's mask names. */
export function maskedSettings(request: UpdateStackRequest, mask: readonly string[]): Partial<Settings> {
  const { onDelete, drift, conflict, ignoredFields, forceReplace } = allSettings(request);
  return {
    ...(mask.includes('on_delete') && { onDelete }),
    ...(mask.includes('drift') && { drift }),
    ...(mask.includes('conflict') && { conflict }),
    ...(mask.includes('ignored_fields') && { ignoredFields }),
    ...(mask.includes('force_replace') && { forceReplace }),
  };
}

/** Converts settings to the fields of a message. */
export function settingsMessage(settings: Settings): {
  onDelete: OnDelete;
  drift: DriftPolicy;
  conflict: ConflictPolicy;
  ignoredFields: IgnoredFieldsMessage[];
  forceReplace: boolean;
} {
  return {
    onDelete: onDeletes[settings.onDelete],
    drift: driftPolicies[settings.drift],
    conflict: conflictPolicies[settings.conflict],
    ignoredFields: settings.ignoredFields.map(({ kind, name, paths }) =>
      create(IgnoredFieldsSchema, { kind, name, paths: [...paths] }),
    ),
    forceReplace: settings.forceReplace,
  };
}
