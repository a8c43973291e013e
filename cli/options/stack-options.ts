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

/** Settings of a stack as an update request has them; undefined ones were not given. */
export interface StackSettings {
  readonly onDelete: (typeof onDeletes)[keyof typeof onDeletes] | undefined;
  readonly drift: (typeof driftPolicies)[keyof typeof driftPolicies] | undefined;
  readonly conflict: (typeof conflictPolicies)[keyof typeof conflictPolicies] | undefined;
  readonly ignoredFields: IgnoredFields[] | undefined;
  readonly dependsOn: string[] | undefined;
  readonly forceReplace: boolean | undefined;
}

/** Settings of a stack as commander provides them; `false` clears a list. */
export interface SettingOptions {
  readonly onDelete?: keyof typeof onDeletes;
  readonly drift?: keyof typeof driftPolicies;
  readonly conflict?: keyof typeof conflictPolicies;
  readonly ignoreField?: IgnoredFields[] | false;
  readonly dependsOn?: readonly string[] | false;
  readonly forceReplace?: boolean;
}

/** The options of `stackOptions`. */
export interface StackOptions extends SettingOptions {
  readonly selector?: LabelSelector;
  readonly label?: readonly string[];
  readonly annotation?: readonly string[];
}

/** Adds the options for labels, annotations and settings of a stack. */
export function stackOptions(command: Command): Command {
  return settingOptions(command)
    .option('--label <label>', 'agents with one of its labels serve it; repeatable', collect)
    .option('--annotation <key=value>', 'agents with one of its annotations serve it; repeatable', collect);
}

/** Adds the options for the selector and the settings of a stack. */
export function settingOptions(command: Command): Command {
  const choice = (flags: string, description: string, table: object) =>
    new Option(flags, description).choices(Object.keys(table));
  return command
    .option('--selector <selector>', selectorHelp, parseSelector)
    .addOption(
      choice('--on-delete <action>', 'what happens to the objects when an agent no longer serves the stack', onDeletes),
    )
    .addOption(choice('--drift <action>', 'what to do when others change or delete its objects', driftPolicies))
    .addOption(
      choice(
        '--conflict <action>',
        'what to do when an object already exists or others have set a field',
        conflictPolicies,
      ),
    )
    .option(
      '--depends-on <stack>',
      'stack that must be healthy on an agent before this one starts there; repeatable',
      collectDependencies,
    )
    .option('--ignore-field <path>', `${ignoredFieldHelp}; repeatable`, collectIgnoredField)
    .option('--force-replace', 'delete and create an object again when a field of it may not be changed')
    .option('--no-force-replace', 'refuse such a change, which is the default');
}

/** Reads the values of `stackOptions`. */
export function readStackOptions(options: StackOptions) {
  const { label, annotation, selector } = options;
  return {
    labels: [...new Set(label)],
    annotations: parseAnnotations(annotation),
    selector,
    settings: readSettingOptions(options),
  };
}

/** Reads the values of `settingOptions` without the selector. */
export function readSettingOptions({
  onDelete,
  drift,
  conflict,
  ignoreField,
  dependsOn,
  forceReplace,
}: SettingOptions): StackSettings {
  return {
    onDelete: onDelete && onDeletes[onDelete],
    drift: drift && driftPolicies[drift],
    conflict: conflict && conflictPolicies[conflict],
    ignoredFields: ignoreField === false ? [] : ignoreField,
    dependsOn: dependsOn === false ? [] : dependsOn && [...new Set(dependsOn)],
    forceReplace,
  };
}

const maskPaths = {
  onDelete: 'on_delete',
  drift: 'drift',
  conflict: 'conflict',
  ignoredFields: 'ignored_fields',
  dependsOn: 'depends_on',
  forceReplace: 'force_replace',
} as const satisfies Record<keyof StackSettings, string>;

/** Returns the update mask of the given settings; with a stack, only of those that differ from the stack's. */
export function settingPaths(settings: StackSettings, stack?: Stack): string[] {
  return Object.entries(maskPaths).flatMap(([setting, path]) => {
    const name = setting as keyof StackSettings;
    return settings[name] === undefined || (stack && hasSetting[name](settings, stack)) ? [] : [path];
  });
}

const hasSetting: Readonly<Record<keyof StackSettings, (settings: StackSettings, stack: Stack) => boolean>> = {
  onDelete: ({ onDelete }, stack) => onDelete === stack.onDelete,
  drift: ({ drift }, stack) => drift === stack.drift,
  conflict: ({ conflict }, stack) => conflict === stack.conflict,
  ignoredFields: ({ ignoredFields = [] }, stack) =>
    ignoredFields.length === stack.ignoredFields.length &&
    ignoredFields.every((fields, index) => equals(IgnoredFieldsSchema, fields, stack.ignoredFields[index]!)),
  forceReplace: ({ forceReplace }, stack) => forceReplace === stack.forceReplace,
  dependsOn: ({ dependsOn = [] }, { dependsOn: current, generator }) => {
    const localName = (name: string) => (name.startsWith(`${generator}/`) ? name.slice(generator.length + 1) : name);
    const [requestedNames, currentNames] = [new Set(dependsOn.map(localName)), new Set(current.map(localName))];
    return requestedNames.size === currentNames.size && [...requestedNames].every((name) => currentNames.has(name));
  },
};

/** Splits "generator/name"; `generator` is the fallback for a name without one. */
export function splitStackName(name: string, generator?: string): { name: string; generator: string | undefined } {
  const slash = name.indexOf('/');
  if (slash < 0) return { name, generator };
  return { name: name.slice(slash + 1), generator: name.slice(0, slash) };
}

/** Collects like `collect`, and ignores a `--no-depends-on` before it. */
function collectDependencies(value: string, previous: readonly string[] | false | undefined): string[] {
  return collect(value, previous || undefined);
}
