import { randomUUID } from 'node:crypto';
import { type Command, Option } from 'commander';
import { type LabelSelector, type Stack, StackSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import { collect, type Verbs, withSession } from '../command.ts';
import { annotationsText, printFacts, printSection } from '../describe.ts';
import { annotationEdits, labelEdits, parseAnnotations } from '../edits.ts';
import { usage } from '../failure.ts';
import { type Output, partTable, printList, printOne, type View } from '../output.ts';
import { allPages } from '../pages.ts';
import { confirm } from '../prompt.ts';
import { parseSelector, selectorHelp, selectorText } from '../selector.ts';
import type { Session } from '../session.ts';
import { age, count, countsText, countsTone, moment, nameFor, onDeletes } from '../words.ts';
import { deploymentView } from './deployment.ts';
import { eventView } from './event.ts';
import { placementView } from './placement.ts';

/** "generator/name": what names a stack for everybody. */
export function stackName(stack: Pick<Stack, 'generator' | 'name'>): string {
  return `${stack.generator}/${stack.name}`;
}

export const stackView: View<typeof StackSchema> = {
  schema: StackSchema,
  plural: 'stacks',
  name: stackName,
  columns: [
    { title: 'NAME', text: stackName },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    {
      title: 'AGENTS',
      text: ({ placements }) => countsText(placements),
      tone: ({ placements }) => countsTone(placements),
    },
    { title: 'LABELS', text: ({ labels }) => labels.join(',') },
    { title: 'AGE', text: ({ createTime }) => age(createTime) },
    { title: 'STATUS', text: ({ deleteTime }) => (deleteTime ? 'being deleted' : 'live') },
  ],
};

/** How many of the last revisions and events a description shows. */
const recent = 5;

export const verbs: Verbs = {
  get: (command) =>
    command
      .command('stacks')
      .alias('stack')
      .description('what is deployed')
      .argument('[names...]', 'NAME, GENERATOR/NAME or id')
      .option('--generator <name>', "only this generator's")
      .option('--label <label>', 'only those with this label')
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
            const { labels, annotations, selector, onDelete } = readStackOptions(options);
            const owned = splitName(name, options.generator);
            const { stack } = await broker.createStack({
              requestId: randomUUID(),
              ...owned,
              labels,
              annotations,
              selector,
              onDelete,
            });
            if (out.form === 'table') out.line(`stack ${stackName(stack!)} created`);
            for (const agent of options.target ?? []) await broker.addTarget({ stack: stack!.id, agent });
            const { stack: now } = await broker.getStack({ stack: stack!.id });
            printOne(out, stackView, now!, () => {});
          },
        ),
      ),

  update: (command) =>
    stackSettings(
      command.command('stack').description("a stack's selector and what becomes of its objects").argument('<name>'),
    )
      .option('--no-selector', 'take the selector away')
      .option('--etag <etag>', 'only if it has not changed since')
      .action(
        withSession(async ({ broker, out }, name: string, options: Update) => {
          const selector = options.selector === false ? undefined : options.selector;
          const paths = [
            ...(options.selector === undefined ? [] : ['selector']),
            ...(options.onDelete === undefined ? [] : ['on_delete']),
          ];
          if (paths.length === 0) throw usage('nothing to change', 'say --selector, --no-selector or --on-delete');
          const onDelete = options.onDelete && onDeletes[options.onDelete];
          const { stack } = await broker.updateStack({
            stack: name,
            etag: options.etag,
            selector,
            onDelete,
            updateMask: { paths },
          });
          printOne(out, stackView, stack!, () => out.line(`stack ${stackName(stack!)} updated`));
        }),
      ),

  label: (command) => edit(command, 'labels', 'LABEL, or LABEL- to take it away', labelEdits),
  annotate: (command) => edit(command, 'annotations', 'KEY=VALUE, or KEY- to take it away', annotationEdits),

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
        withSession(async ({ broker, out }, name: string, options: { etag?: string; yes?: boolean }) => {
          const { stack: found } = await broker.getStack({ stack: name });
          const held = countsText(found!.placements);
          await confirm(`Delete stack ${stackName(found!)} (agents: ${held})?`, options.yes);
          const { stack } = await broker.deleteStack({ stack: found!.id, etag: options.etag });
          printOne(out, stackView, stack!, () => {
            const agents = stack!.placements?.removing ?? 0;
            const rest = agents > 0 ? `, as soon as ${count(agents, 'agent')} removed it` : '';
            out.line(`stack ${stackName(stack!)} deleted${rest}`);
          });
        }),
      ),
};

interface Filter {
  readonly generator?: string;
  readonly label?: string;
  readonly showDeleted?: boolean;
}

interface Settings<Selector> {
  readonly selector?: Selector;
  readonly onDelete?: keyof typeof onDeletes;
}

export interface StackOptions extends Settings<LabelSelector> {
  readonly label?: readonly string[];
  readonly annotation?: readonly string[];
}

interface Update extends Settings<LabelSelector | false> {
  readonly etag?: string;
}

/** The options that say who serves a stack. */
export function stackOptions(command: Command): Command {
  return stackSettings(command)
    .option('--label <label>', 'agents with any of its labels serve it; may be repeated', collect)
    .option('--annotation <key=value>', 'agents with any of its annotations serve it; may be repeated', collect);
}

function stackSettings(command: Command): Command {
  return command
    .option('--selector <selector>', selectorHelp, parseSelector)
    .addOption(
      new Option('--on-delete <what>', 'becomes of the objects when an agent loses the stack').choices(
        Object.keys(onDeletes),
      ),
    );
}

export function readStackOptions({ label, annotation, selector, onDelete }: StackOptions) {
  return {
    labels: [...new Set(label)],
    annotations: parseAnnotations(annotation),
    selector,
    onDelete: onDelete && onDeletes[onDelete],
  };
}

/** "generator/name" in its parts; `generator` may also have been given apart. */
export function splitName(name: string, generator?: string): { name: string; generator: string | undefined } {
  const at = name.indexOf('/');
  if (at < 0) return { name, generator };
  return { name: name.slice(at + 1), generator: name.slice(0, at) };
}

async function describe({ broker, out }: Session, name: string): Promise<void> {
  const { stack } = await broker.getStack({ stack: name });
  if (out.form !== 'table') return printOne(out, stackView, stack!, () => {});
  const of = { stack: stack!.id };
  const [placements, { deployments }, { events }] = await Promise.all([
    allPages(
      (page) => broker.listPlacements({ ...of, ...page }),
      (page) => page.placements,
    ),
    broker.listDeployments({ ...of, pageSize: recent }),
    broker.listEvents({ ...of, pageSize: recent }),
  ]);
  printStack(out, stack!);
  printSection(out, 'Agents', partTable(out, placementView, placements, 'STACK'));
  printSection(out, 'Last revisions', partTable(out, deploymentView, deployments, 'STACK'));
  printSection(out, 'Last events', partTable(out, eventView, events, 'STACK'));
}

function printStack(out: Output, stack: Stack): void {
  printFacts(out, [
    ['Stack', stackName(stack)],
    ['Id', stack.id],
    ['Revision', stack.revision === 0 ? 'none yet' : String(stack.revision)],
    ['Labels', stack.labels.join(', ')],
    ['Annotations', annotationsText(stack.annotations)],
    ['Selector', stack.selector ? selectorText(stack.selector) : ''],
    ['Targets', stack.targets.join(', ')],
    ['On delete', nameFor(onDeletes, stack.onDelete)],
    ['Placements', countsText(stack.placements)],
    ['Created', moment(stack.createTime)],
    ['Updated', moment(stack.updateTime)],
    ['Deleted', stack.deleteTime ? `${moment(stack.deleteTime)}; agents are still removing it` : ''],
    ['Etag', stack.etag],
  ]);
}

/** The `label` and `annotate` commands of a stack. */
function edit(command: Command, what: string, words: string, read: (edits: readonly string[]) => object): Command {
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
          out.line(`stack ${stackName(stack!)}: ${what} ${now || 'none'}; agents ${countsText(stack!.placements)}`);
        });
      }),
    );
}
