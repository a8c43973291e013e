import { equals } from '@bufbuild/protobuf';
import { type Command, Option } from 'commander';
import { conflictPolicies, driftPolicies, onDeletes } from '../../contract/enum-names.ts';
import {
  type IgnoredFields,
  IgnoredFieldsSchema,
  type LabelSelector,
  type Stack,
} from '../../gen/brokkr/v1/stack_pb.ts';
import { collect } from './collect.ts';
import { parseAnnotations } from './edits.ts';
import { collectIgnoredField, ignoredFieldHelp } from './ignored-fields.ts';
import { parseSelector, selectorHelp } from './selector.ts';

/** What agents do with a stack's objects, as a request has it; what is undefined was not asked for. */
export interface StackSettings {
  readonly onDelete: (typeof onDeletes)[keyof typeof onDeletes] | undefined;
  readonly drift: (typeof driftPolicies)[keyof typeof driftPolicies] | undefined;
  readonly conflict: (typeof conflictPolicies)[keyof typeof conflictPolicies] | undefined;
  readonly ignoredFields: IgnoredFields[] | undefined;
  readonly dependsOn: string[] | undefined;
}

/** The same as the options give it; `false` takes a list away. */
export interface SettingOptions {
  readonly onDelete?: keyof typeof onDeletes;
  readonly drift?: keyof typeof driftPolicies;
  readonly conflict?: keyof typeof conflictPolicies;
  readonly ignoreField?: IgnoredFields[] | false;
  readonly dependsOn?: readonly string[] | false;
}

export interface StackOptions extends SettingOptions {
  readonly selector?: LabelSelector;
  readonly label?: readonly string[];
  readonly annotation?: readonly string[];
}

/** The options that say who serves a stack, and how. */
export function stackOptions(command: Command): Command {
  return settingOptions(command)
    .option('--label <label>', 'agents with any of its labels serve it; may be repeated', collect)
    .option('--annotation <key=value>', 'agents with any of its annotations serve it; may be repeated', collect);
}

/** The options of what is replaced as a whole. */
export function settingOptions(command: Command): Command {
  const among = (flags: string, about: string, table: object) => new Option(flags, about).choices(Object.keys(table));
  return command
    .option('--selector <selector>', selectorHelp, parseSelector)
    .addOption(among('--on-delete <what>', 'becomes of the objects when an agent loses the stack', onDeletes))
    .addOption(among('--drift <what>', 'when somebody else changes or deletes its objects', driftPolicies))
    .addOption(
      among('--conflict <what>', 'when an object exists already, or a field is set by somebody else', conflictPolicies),
    )
    .option(
      '--depends-on <stack>',
      'must be healthy on an agent before this one begins there; may be repeated',
      collectDependencies,
    )
    .option('--ignore-field <path>', `${ignoredFieldHelp}; may be repeated`, collectIgnoredField);
}

export function readStackOptions(options: StackOptions) {
  const { label, annotation, selector } = options;
  return {
    labels: [...new Set(label)],
    annotations: parseAnnotations(annotation),
    selector,
    settings: readSettingOptions(options),
  };
}

export function readSettingOptions({
  onDelete,
  drift,
  conflict,
  ignoreField,
  dependsOn,
}: SettingOptions): StackSettings {
  return {
    onDelete: onDelete && onDeletes[onDelete],
    drift: drift && driftPolicies[drift],
    conflict: conflict && conflictPolicies[conflict],
    ignoredFields: ignoreField === false ? [] : ignoreField,
    dependsOn: dependsOn === false ? [] : dependsOn && [...new Set(dependsOn)],
  };
}

const maskPaths = {
  onDelete: 'on_delete',
  drift: 'drift',
  conflict: 'conflict',
  ignoredFields: 'ignored_fields',
  dependsOn: 'depends_on',
} as const satisfies Record<keyof StackSettings, string>;

/** The update mask of what was asked for and, when a stack is given, is not so already. */
export function settingPaths(settings: StackSettings, stack?: Stack): string[] {
  return Object.entries(maskPaths).flatMap(([setting, path]) => {
    const name = setting as keyof StackSettings;
    return settings[name] === undefined || (stack && hasSetting[name](settings, stack)) ? [] : [path];
  });
}

const hasSetting: Readonly<Record<keyof StackSettings, (wanted: StackSettings, stack: Stack) => boolean>> = {
  onDelete: ({ onDelete }, stack) => onDelete === stack.onDelete,
  drift: ({ drift }, stack) => drift === stack.drift,
  conflict: ({ conflict }, stack) => conflict === stack.conflict,
  ignoredFields: ({ ignoredFields = [] }, stack) =>
    ignoredFields.length === stack.ignoredFields.length &&
    ignoredFields.every((fields, at) => equals(IgnoredFieldsSchema, fields, stack.ignoredFields[at]!)),
  dependsOn: ({ dependsOn = [] }, { dependsOn: now, generator }) => {
    const own = (name: string) => (name.startsWith(`${generator}/`) ? name.slice(generator.length + 1) : name);
    const [wanted, known] = [new Set(dependsOn.map(own)), new Set(now.map(own))];
    return wanted.size === known.size && [...wanted].every((name) => known.has(name));
  },
};

/** "generator/name" in its parts; `generator` may also have been given apart. */
export function splitStackName(name: string, generator?: string): { name: string; generator: string | undefined } {
  const at = name.indexOf('/');
  if (at < 0) return { name, generator };
  return { name: name.slice(at + 1), generator: name.slice(0, at) };
}

/** As `collect`; a `--no-…` before it counts for nothing. */
function collectDependencies(value: string, before: readonly string[] | false | undefined): string[] {
  return collect(value, before || undefined);
}
