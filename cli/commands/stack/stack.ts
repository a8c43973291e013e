import { randomUUID } from 'node:crypto';
import { conflictPolicies, driftPolicies, onDeletes } from '../../../contract/enum-names.ts';
import type { LabelSelector, Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { deploymentView } from '../../format/deployment.ts';
import { annotationsText, printFields, printSection } from '../../format/describe.ts';
import { keyOfValue, placementCountsText, pluralize, timestampText } from '../../format/enum-labels.ts';
import { eventView } from '../../format/event.ts';
import { healthCountsText } from '../../format/health.ts';
import { placementView } from '../../format/placement.ts';
import { stackName, stackView } from '../../format/stack.ts';
import { healthChangeView, unhealthyObjectsText } from '../../format/stack-health.ts';
import { collect } from '../../options/collect.ts';
import { ignoredFieldsText } from '../../options/ignored-fields.ts';
import { selectorText } from '../../options/selector.ts';
import {
  readSettingOptions,
  readStackOptions,
  type SettingOptions,
  type StackOptions,
  settingOptions,
  settingPaths,
  splitStackName,
  stackOptions,
} from '../../options/stack-options.ts';
import { usageError } from '../../output/failure.ts';
import type { Output } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { printEach, printList, printOne, renderSubtable } from '../../output/view.ts';
import { allPages, namedOrAll } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type DefineCommand, type VerbDefinitions, withSession } from '../command.ts';
import { annotateCommand, type EditableNoun, labelCommand, metadataText } from '../metadata.ts';
import { listNeverStarted } from './never-started.ts';

/** Number of revisions, events and health changes in a description. */
const recentCount = 5;

const editableStack: EditableNoun<Stack> = {
  noun: 'stack',
  list: async ({ broker }) => {
    const stacks = await allPages(
      (page) => broker.listStacks(page),
      (page) => page.stacks,
    );
    return stacks.map((stack) => ({ ...stack, name: stackName(stack) }));
  },
  update: async ({ broker }, name, update) => (await broker.updateStack({ stack: name, ...update })).stack!,
  print: (output, stacks, field) =>
    printEach(output, stackView, stacks, (stack) => {
      const agents = placementCountsText(stack.placements);
      return `stack ${stackName(stack)}: ${metadataText(field, stack)}; agents ${agents}`;
    }),
};

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('stacks')
      .alias('stack')
      .description('stacks with their placements and health')
      .argument('[names...]', 'NAME, GENERATOR/NAME or id')
      .option('--generator <name>', 'only those of this generator')
      .option('-l, --label <label>', 'only those with this label')
      .option('--show-deleted', 'include those that are being deleted')
      .action(withSession(getStacks)),

  describe: (command) =>
    command
      .command('stack')
      .alias('stacks')
      .description('a stack with its agents, latest revisions and latest events')
      .argument('<name>')
      .action(withSession(describeStack)),

  create: (command) =>
    stackOptions(
      command.command('stack').description('a stack without objects').argument('<name>', 'NAME or GENERATOR/NAME'),
    )
      .option('--generator <name>', 'owner of the stack; admins only (default: the system generator)')
      .option('--target <agent>', 'place it on this agent; repeatable', collect)
      .action(withSession(createStack)),

  update: (command) =>
    settingOptions(command.command('stack').description("a stack's selector and settings").argument('<name>'))
      .option('--no-selector', 'remove the selector')
      .option('--no-depends-on', 'remove all dependencies')
      .option('--no-ignore-field', 'remove all ignored fields')
      .option('--etag <etag>', 'change it only if this is still its etag')
      .addHelpText('after', '\nA repeatable option replaces the whole list.')
      .action(withSession(updateStack)),

  label: labelCommand(editableStack),
  annotate: annotateCommand(editableStack),

  target: targetCommand((broker, target) => broker.addTarget(target), 'is targeted at'),
  untarget: targetCommand((broker, target) => broker.removeTarget(target), 'is no longer targeted at'),

  delete: (command) =>
    command
      .command('stack')
      .alias('stacks')
      .description('delete a stack and remove its objects from every agent')
      .argument('<name>')
      .option('--etag <etag>', 'delete it only if this is still its etag')
      .option('-y, --yes', 'skip the confirmation prompt')
      .action(withSession(deleteStack)),
};

interface Filter {
  readonly generator?: string;
  readonly label?: string;
  readonly showDeleted?: boolean;
}

async function getStacks({ broker, output }: Session, names: string[], filter: Filter): Promise<void> {
  const stacks = await namedOrAll(
    names,
    async (stack) => (await broker.getStack({ stack })).stack!,
    () =>
      allPages(
        (page) => broker.listStacks({ ...filter, ...page }),
        (page) => page.stacks,
      ),
  );
  printList(output, stackView, stacks);
}

interface CreateOptions extends StackOptions {
  readonly generator?: string;
  readonly target?: readonly string[];
}

async function createStack({ broker, output }: Session, name: string, options: CreateOptions): Promise<void> {
  const { settings, ...placementRules } = readStackOptions(options);
  const { stack } = await broker.createStack({
    requestId: randomUUID(),
    ...splitStackName(name, options.generator),
    ...placementRules,
    ...settings,
  });
  if (output.format === 'table') output.line(`stack ${stackName(stack!)} created`);
  for (const agent of options.target ?? []) await broker.addTarget({ stack: stack!.id, agent });
  const { stack: targeted } = await broker.getStack({ stack: stack!.id });
  printOne(output, stackView, targeted!, () => {});
}

interface UpdateOptions extends SettingOptions {
  readonly selector?: LabelSelector | false;
  readonly etag?: string;
}

async function updateStack({ broker, output }: Session, name: string, options: UpdateOptions): Promise<void> {
  const selector = options.selector === false ? undefined : options.selector;
  const settings = readSettingOptions(options);
  const paths = [...(options.selector === undefined ? [] : ['selector']), ...settingPaths(settings)];
  if (paths.length === 0) throw usageError('nothing to change', 'brokkr update stack --help lists the settings');
  const { stack } = await broker.updateStack({
    stack: name,
    etag: options.etag,
    selector,
    ...settings,
    updateMask: { paths },
  });
  printOne(output, stackView, stack!, () => output.line(`stack ${stackName(stack!)} updated`));
}

/** Defines a command that adds or removes targets; `relation` says how stack and agent are related afterwards. */
function targetCommand(
  change: (broker: Session['broker'], target: { stack: string; agent: string }) => Promise<unknown>,
  relation: string,
): DefineCommand {
  return (command) =>
    command
      .argument('<stack>')
      .argument('<agents...>')
      .action(
        withSession(async ({ broker, output }, stack: string, agents: string[]) => {
          for (const agent of agents) {
            await change(broker, { stack, agent });
            output.line(`stack ${stack} ${relation} agent ${agent}`);
          }
        }),
      );
}

interface DeleteOptions {
  readonly etag?: string;
  readonly yes?: boolean;
}

async function deleteStack(session: Session, name: string, { etag, yes }: DeleteOptions): Promise<void> {
  const { broker, output } = session;
  const existing = (await broker.getStack({ stack: name })).stack!;
  const { deployments } = await broker.listDeployments({ stack: existing.id, pageSize: 1 });
  const objects = pluralize(deployments[0]?.objectCount ?? 0, 'object');
  const agents = placementCountsText(existing.placements);
  await confirm(`Delete stack ${stackName(existing)} (${objects}; agents: ${agents})?`, yes);
  const stack = (await broker.deleteStack({ stack: existing.id, etag })).stack!;
  printOne(output, stackView, stack, () => {
    const removing = stack.placements?.removing ?? 0;
    const remaining = removing > 0 ? `; its objects are still on ${pluralize(removing, 'agent')}` : '';
    output.line(`stack ${stackName(stack)} deleted${remaining}`);
  });
  for (const agent of await listNeverStarted(session, stack)) {
    output.note(`agent ${agent} has never started, so the removal waits for it; to abandon the removal, run`);
    output.note(`  brokkr forget-removal ${agent} ${stackName(stack)}`);
  }
}

async function describeStack({ broker, output }: Session, name: string): Promise<void> {
  const { stack } = await broker.getStack({ stack: name });
  if (output.format !== 'table') return printOne(output, stackView, stack!, () => {});
  const filter = { stack: stack!.id };
  const [placements, health, { deployments }, { events }] = await Promise.all([
    allPages(
      (page) => broker.listPlacements({ ...filter, ...page }),
      (page) => page.placements,
    ),
    broker.getStackHealth({ ...filter, pageSize: recentCount }),
    broker.listDeployments({ ...filter, pageSize: recentCount }),
    broker.listEvents({ ...filter, pageSize: recentCount }),
  ]);
  printStack(output, stack!);
  printSection(output, 'Agents', renderSubtable(output, placementView, placements, 'STACK'));
  printSection(output, 'Not healthy', unhealthyObjectsText(output, health.agents));
  const healthChanges = health.history.slice(0, recentCount);
  printSection(output, 'Latest health changes', renderSubtable(output, healthChangeView, healthChanges));
  printSection(output, 'Latest revisions', renderSubtable(output, deploymentView, deployments, 'STACK'));
  printSection(output, 'Latest events', renderSubtable(output, eventView, events, 'STACK'));
}

function printStack(output: Output, stack: Stack): void {
  printFields(output, [
    ['Stack', stackName(stack)],
    ['Id', stack.id],
    ['Revision', stack.revision === 0 ? 'none yet' : String(stack.revision)],
    ['Labels', stack.labels.join(', ')],
    ['Annotations', annotationsText(stack.annotations)],
    ['Selector', stack.selector ? selectorText(stack.selector) : ''],
    ['Targets', stack.targets.join(', ')],
    ['On delete', keyOfValue(onDeletes, stack.onDelete)],
    ['Drift', keyOfValue(driftPolicies, stack.drift)],
    ['Ignored fields', ignoredFieldsText(stack.ignoredFields)],
    ['Conflict', keyOfValue(conflictPolicies, stack.conflict)],
    ['Force replace', stack.forceReplace ? 'yes' : ''],
    ['Depends on', stack.dependsOn.join(', ')],
    ['Placements', placementCountsText(stack.placements)],
    ['Health', healthCountsText(stack.health)],
    ['Created', timestampText(stack.createTime)],
    ['Updated', timestampText(stack.updateTime)],
    ['Deleted', stack.deleteTime ? `${timestampText(stack.deleteTime)}; agents are still removing it` : ''],
    ['Etag', stack.etag],
  ]);
}
