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
import { type Conflict, checkIgnoredFields, type Drift, type IgnoredFields } from './rules.ts';
import type { Settings } from './store.ts';

/** The fields of a stack that an update writes under its mask. */
export const maskPaths = ['selector', 'on_delete', 'drift', 'ignored_fields', 'conflict', 'depends_on'] as const;

/** What a new stack is made with; unspecified means the default. */
export function allSettings(request: CreateStackRequest | UpdateStackRequest): Settings {
  return {
    onDelete: enumName(onDeletes, request.onDelete) ?? 'prune',
    drift: enumName(driftPolicies, request.drift) ?? 'repair',
    conflict: enumName(conflictPolicies, request.conflict) ?? 'adopt',
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
    onDelete: onDeletes[settings.onDelete],
    drift: driftPolicies[settings.drift],
    conflict: conflictPolicies[settings.conflict],
    ignoredFields: settings.ignoredFields.map(({ kind, name, paths }) =>
      create(IgnoredFieldsSchema, { kind, name, paths: [...paths] }),
    ),
  };
}
