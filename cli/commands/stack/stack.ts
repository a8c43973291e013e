import { randomUUID } from 'node:crypto';
import type { Command } from 'commander';
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
import { annotationEdits, labelEdits } from '../../options/edits.ts';
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
import { type Output, printList, printOne, renderSubtable } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';
import { listNeverStarted } from './never-started.ts';

/** How many of the last revisions and events a description shows. */
const recentCount = 5;

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('stacks')
      .alias('stack')
      .description('what is deployed')
      .argument('[names...]', 'NAME, GENERATOR/NAME or id')
      .option('--generator <name>', "only this generator's")
      .option('-l, --label <label>', 'only those with this label')
      .option('--show-deleted', 'also those that are being removed')
      .action(
        withSession(async ({ broker, out }, names: string[], options: Filter) => {
          const stacks =
            names.length > 0 ? names.map(async (stack) => (await broker.getStack({ stack })).stack!) : undefined;
          const found = stacks
            ? await Promise.all(stacks)
            : await allPages(
                (page) => broker.listStacks({ ...options, ...page }),
                (page) => page.stacks,
              );
          printList(out, stackView, found);
        }),
      ),

  describe: (command) =>
    command
      .command('stack')
      .alias('stacks')
      .description('a stack, its agents, its last revisions and events')
      .argument('<name>')
      .action(withSession(describe)),

  create: (command) =>
    stackOptions(
      command.command('stack').description('a stack without objects yet').argument('<name>', 'NAME or GENERATOR/NAME'),
    )
      .option('--generator <name>', 'owner; admins only (default: the system generator)')
      .option('--target <agent>', 'place it on this agent; may be repeated', collect)
      .action(
        withSession(
          async (session, name: string, options: StackOptions & { generator?: string; target?: string[] }) => {
            const { broker, out } = session;
            const { settings, ...placing } = readStackOptions(options);
            const owned = splitStackName(name, options.generator);
            const requestId = randomUUID();
            const { stack } = await broker.createStack({ requestId, ...owned, ...placing, ...settings });
            if (out.format === 'table') out.line(`stack ${stackName(stack!)} created`);
            for (const agent of options.target ?? []) await broker.addTarget({ stack: stack!.id, agent });
            const { stack: now } = await broker.getStack({ stack: stack!.id });
            printOne(out, stackView, now!, () => {});
          },
        ),
      ),

  update: (command) =>
    settingOptions(
      command
        .command('stack')
        .description("a stack's selector, and what agents do with its objects")
        .argument('<name>'),
    )
      .option('--no-selector', 'take the selector away')
      .option('--no-depends-on', 'it depends on no other stack')
      .option('--no-ignore-field', 'no field is ignored')
      .option('--etag <etag>', 'only if it has not changed since')
      .addHelpText('after', '\nWhat is given several times replaces the whole list.')
      .action(
        withSession(async ({ broker, out }, name: string, options: Update) => {
          const selector = options.selector === false ? undefined : options.selector;
          const settings = readSettingOptions(options);
          const paths = [...(options.selector === undefined ? [] : ['selector']), ...settingPaths(settings)];
          if (paths.length === 0) throw usageError('nothing to change', 'brokkr update stack --help lists what can be');
          const updateMask = { paths };
          const { stack } = await broker.updateStack({
            stack: name,
            etag: options.etag,
            selector,
            ...settings,
            updateMask,
          });
          printOne(out, stackView, stack!, () => out.line(`stack ${stackName(stack!)} updated`));
        }),
      ),

  label: (command) => defineEdit(command, 'labels', 'LABEL, or LABEL- to take it away', labelEdits),
  annotate: (command) => defineEdit(command, 'annotations', 'KEY=VALUE, or KEY- to take it away', annotationEdits),

  target: (command) =>
    command
      .argument('<stack>')
      .argument('<agents...>')
      .action(
        withSession(async ({ broker, out }, stack: string, agents: string[]) => {
          for (const agent of agents) {
            await broker.addTarget({ stack, agent });
            out.line(`stack ${stack} is targeted at agent ${agent}`);
          }
        }),
      ),

  untarget: (command) =>
    command
      .argument('<stack>')
      .argument('<agents...>')
      .action(
        withSession(async ({ broker, out }, stack: string, agents: string[]) => {
          for (const agent of agents) {
            await broker.removeTarget({ stack, agent });
            out.line(`stack ${stack} is no longer targeted at agent ${agent}`);
          }
        }),
      ),

  delete: (command) =>
    command
      .command('stack')
      .alias('stacks')
      .description('removes its objects from every agent')
      .argument('<name>')
      .option('--etag <etag>', 'only if it has not changed since')
      .option('-y, --yes', 'do not ask')
      .action(
        withSession(async (session, name: string, options: { etag?: string; yes?: boolean }) => {
          const { broker, out } = session;
          const { stack: found } = await broker.getStack({ stack: name });
          const { deployments } = await broker.listDeployments({ stack: found!.id, pageSize: 1 });
          const objects = pluralize(deployments[0]?.objectCount ?? 0, 'object');
          const agents = placementCountsText(found!.placements);
          await confirm(`Delete stack ${stackName(found!)} (${objects}; agents: ${agents})?`, options.yes);
          const { stack } = await broker.deleteStack({ stack: found!.id, etag: options.etag });
          printOne(out, stackView, stack!, () => {
            const agents = stack!.placements?.removing ?? 0;
            const rest = agents > 0 ? `, as soon as ${pluralize(agents, 'agent')} removed it` : '';
            out.line(`stack ${stackName(stack!)} deleted${rest}`);
          });
          for (const agent of await listNeverStarted(session, stack!)) {
            out.note(`agent ${agent} has never started: until it does, the removal waits, or is ended by`);
            out.note(`  brokkr forget-removal ${agent} ${stackName(stack!)}`);
          }
        }),
      ),
};

interface Filter {
  readonly generator?: string;
  readonly label?: string;
  readonly showDeleted?: boolean;
}

interface Update extends SettingOptions {
  readonly selector?: LabelSelector | false;
  readonly etag?: string;
}

async function describe({ broker, out }: Session, name: string): Promise<void> {
  const { stack } = await broker.getStack({ stack: name });
  if (out.format !== 'table') return printOne(out, stackView, stack!, () => {});
  const of = { stack: stack!.id };
  const [placements, health, { deployments }, { events }] = await Promise.all([
    allPages(
      (page) => broker.listPlacements({ ...of, ...page }),
      (page) => page.placements,
    ),
    broker.getStackHealth({ ...of, pageSize: recentCount }),
    broker.listDeployments({ ...of, pageSize: recentCount }),
    broker.listEvents({ ...of, pageSize: recentCount }),
  ]);
  printStack(out, stack!);
  printSection(out, 'Agents', renderSubtable(out, placementView, placements, 'STACK'));
  printSection(out, 'Not healthy', unhealthyObjectsText(out, health.agents));
  printSection(out, 'Last health changes', renderSubtable(out, healthChangeView, health.history.slice(0, recentCount)));
  printSection(out, 'Last revisions', renderSubtable(out, deploymentView, deployments, 'STACK'));
  printSection(out, 'Last events', renderSubtable(out, eventView, events, 'STACK'));
}

function printStack(out: Output, stack: Stack): void {
  printFields(out, [
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
    ['Depends on', stack.dependsOn.join(', ')],
    ['Placements', placementCountsText(stack.placements)],
    ['Health', healthCountsText(stack.health)],
    ['Created', timestampText(stack.createTime)],
    ['Updated', timestampText(stack.updateTime)],
    ['Deleted', stack.deleteTime ? `${timestampText(stack.deleteTime)}; agents are still removing it` : ''],
    ['Etag', stack.etag],
  ]);
}

/** The `label` and `annotate` commands of a stack. */
function defineEdit(
  command: Command,
  what: string,
  words: string,
  read: (edits: readonly string[]) => object,
): Command {
  return command
    .command('stack')
    .alias('stacks')
    .description(`the ${what} of a stack`)
    .argument('<name>')
    .argument('<edits...>', words)
    .option('--etag <etag>', 'only if it has not changed since')
    .action(
      withSession(async ({ broker, out }, name: string, edits: string[], options: { etag?: string }) => {
        const { stack } = await broker.updateStack({ stack: name, etag: options.etag, ...read(edits) });
        printOne(out, stackView, stack!, () => {
          const now = what === 'labels' ? stack!.labels.join(', ') : annotationsText(stack!.annotations);
          out.line(
            `stack ${stackName(stack!)}: ${what} ${now || 'none'}; agents ${placementCountsText(stack!.placements)}`,
          );
        });
      }),
    );
}
