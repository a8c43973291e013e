import { randomUUID } from 'node:crypto';
import { type Command, Option } from 'commander';
import { objectText } from '../../../contract/object-key.ts';
import { type GetDeploymentResponse, GetDeploymentResponseSchema } from '../../../gen/brokkr/v1/deployment_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { type ApplyListener, applyStack, previewStack, type StackSpec, stackRef } from '../../deploy/apply.ts';
import {
  changesText,
  previewOfNew,
  printChanges,
  printSubmission,
  servingAgentsText,
} from '../../deploy/submission.ts';
import { deploymentName, deploymentView } from '../../format/deployment.ts';
import { printFields, printSection } from '../../format/describe.ts';
import { placementCountsText, timestampText } from '../../format/enum-labels.ts';
import { stackName } from '../../format/stack.ts';
import { readSubmission } from '../../manifest/manifest.ts';
import { kubernetesYaml } from '../../manifest/yaml.ts';
import { collect } from '../../options/collect.ts';
import { parseDuration } from '../../options/duration.ts';
import { integerBetween, parseLimit } from '../../options/numbers.ts';
import { readStackOptions, type StackOptions, splitStackName, stackOptions } from '../../options/stack-options.ts';
import { usageError } from '../../output/failure.ts';
import { type Output, printList, printOne, sanitize } from '../../output/output.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { parseWaitCondition, type WaitCondition, waitUntil } from '../../stream/wait.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const parseRevision = integerBetween(1);
const defaultTimeoutMs = 300_000;

export const verbs: VerbDefinitions = {
  apply: (command) => {
    command
      .requiredOption('-f, --filename <file>', 'YAML or JSON file, a folder of them, or - ; may be repeated', collect)
      .requiredOption('--stack <stack>', 'NAME or GENERATOR/NAME; made when it is missing')
      .option('-R, --recursive', 'look in folders of a folder too');
    waitOptions(stackOptions(command))
      .option('--target <agent>', 'place it on this agent, whatever its labels; may be repeated', collect)
      .option('--message <text>', 'why, for people')
      .option('--allow-empty', 'submit no objects at all, which removes everything')
      .option('--dry-run', 'say what would change, and where; change nothing')
      .addHelpText(
        'after',
        '\nLabels, annotations and targets are added to those that the stack has; everything else of it is replaced.',
      )
      .action(withSession(apply));
  },

  rollback: (command) =>
    waitOptions(command)
      .argument('<stack>')
      .option('--revision <number>', 'whose objects to bring back (default: the one before the current)', parseRevision)
      .option('--message <text>', 'why, for people')
      .action(
        withSession(async (session, stack: string, options: RollbackOptions) => {
          const { broker, out } = session;
          const { revision, message, wait, timeout } = options;
          const answer = await broker.rollbackStack({ requestId: randomUUID(), stack, revision, message });
          const deployment = answer.deployment!;
          if (wait) await waitUntil(wait, session, deployment, timeout);
          printOne(out, deploymentView, deployment, () => {
            const what = `revision ${deployment.revision}`;
            const back = deployment.rollbackOf > 0 ? ` with the objects of revision ${deployment.rollbackOf}` : '';
            out.line(
              `stack ${deployment.stack}: ${what}${answer.unchanged ? ' is current already' : `${back} is current`}`,
            );
          });
        }),
      ),

  get: (command) =>
    command
      .command('deployments')
      .alias('deployment')
      .description('the revisions of stacks, newest first')
      .argument('[names...]', 'STACK, STACK@REVISION or id')
      .option('--stack <stack>', 'only of this stack')
      .option('--limit <count>', 'at most so many', parseLimit)
      .action(
        withSession(async ({ broker, out }, names: string[], { stack, limit }: { stack?: string; limit?: number }) => {
          const named = names.map(async (name) => (await broker.getDeployment(parseName(name))).deployment!);
          const deployments =
            names.length > 0
              ? await Promise.all(named)
              : await allPages(
                  (page) => broker.listDeployments({ stack, ...page }),
                  (page) => page.deployments,
                  limit,
                );
          printList(out, deploymentView, deployments);
        }),
      ),

  describe: (command) =>
    command
      .command('deployment')
      .alias('deployments')
      .description('a revision and its objects')
      .argument('<name>', 'STACK (its current one), STACK@REVISION or id')
      .option('--manifest', 'print the objects themselves, as YAML; with -o json, one a line')
      .action(
        withSession(async ({ broker, out }, name: string, { manifest }: { manifest?: boolean }) => {
          const answer = await broker.getDeployment(parseName(name));
          if (manifest) printManifest(out, answer);
          else printDeployment(out, answer);
        }),
      ),
};

function waitOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--wait [what]', 'until it is healthy on every agent that serves the stack; or only "applied"')
        .preset('healthy')
        .argParser(parseWaitCondition),
    )
    .addOption(
      new Option('--timeout <duration>', 'of --wait').default(defaultTimeoutMs, '5m').argParser(parseDuration),
    );
}

interface RollbackOptions {
  readonly revision?: number;
  readonly message?: string;
  readonly wait?: WaitCondition;
  readonly timeout: number;
}

interface ApplyOptions extends StackOptions {
  readonly filename: readonly string[];
  readonly stack: string;
  readonly recursive?: boolean;
  readonly target?: readonly string[];
  readonly message?: string;
  readonly allowEmpty?: boolean;
  readonly dryRun?: boolean;
  readonly wait?: WaitCondition;
  readonly timeout: number;
}

async function apply(session: Session, options: ApplyOptions): Promise<void> {
  const { out } = session;
  if (options.dryRun && options.wait) throw usageError('--dry-run has nothing to --wait for');
  const wanted: StackSpec = {
    ...splitStackName(options.stack),
    ...readStackOptions(options),
    targets: options.target ?? [],
    submission: await readSubmission(options.filename, options.recursive ?? false),
    message: options.message,
    allowEmpty: options.allowEmpty,
  };
  if (options.dryRun) {
    await preview(session, wanted);
    return;
  }
  // People see each step; the answer for programs comes at the end, when all of it is good.
  const people = out.format === 'table';
  const { stack, answer } = await applyStack(session, wanted, people ? listenerFor(out) : silentListener);
  const deployment = answer.deployment!;
  if (options.wait) await waitUntil(options.wait, session, deployment, options.timeout);
  if (!people) printSubmission(out, answer);
  else if (options.wait) out.line(`revision ${deployment.revision} is ${options.wait}`);
  else out.line(`agents: ${placementCountsText(stack.placements)}`);
  if (isPlacedNowhere(stack))
    out.note(`warning: stack ${stackName(stack)} is placed nowhere yet: say --label, --target or --selector`);
}

/** Whether there is nothing of it that could match an agent. */
function isPlacedNowhere({ labels, annotations, selector, targets }: Stack): boolean {
  return labels.length + Object.keys(annotations).length + targets.length === 0 && selector === undefined;
}

const silentListener: ApplyListener = { created: () => {}, submitted: () => {}, edited: () => {} };

function listenerFor(out: Output): ApplyListener {
  return {
    created: (stack) => out.line(`stack ${stackName(stack)} created`),
    submitted: (answer) => {
      const what = answer.unchanged ? 'is current already' : `submitted: ${changesText(answer)}`;
      out.line(`revision ${answer.deployment?.revision} ${what}`);
      printChanges(out, answer);
    },
    edited: (stack) => out.line(`stack ${stackName(stack)} updated`),
  };
}

async function preview(session: Session, wanted: StackSpec): Promise<void> {
  const { out } = session;
  const found = await previewStack(session, wanted);
  const answer = found ?? previewOfNew(wanted);
  if (out.format !== 'table') {
    printSubmission(out, answer);
    return;
  }
  if (!found) out.line(`stack ${stackRef(wanted)} would be created`);
  out.line(answer.unchanged ? 'nothing would change' : `would be submitted: ${changesText(answer)}`);
  printChanges(out, answer);
  if (found) out.line(servingAgentsText(answer));
  else out.note('the stack is new: its objects are checked, and its agents found, when it is there');
}

function printDeployment(out: Output, answer: GetDeploymentResponse): void {
  // The objects may hold Secrets: they are shown when they are asked for.
  const shown: GetDeploymentResponse = { ...answer, manifest: new Uint8Array() };
  const deployment = answer.deployment!;
  printOne(out, { schema: GetDeploymentResponseSchema, name: () => deploymentName(deployment) }, shown, () => {
    printFields(out, [
      ['Deployment', deploymentName(deployment)],
      ['Id', deployment.id],
      ['Current', deployment.current ? 'yes' : 'no'],
      ['Message', deployment.message],
      ['Rollback of', deployment.rollbackOf === 0 ? '' : `revision ${deployment.rollbackOf}`],
      ['Created', timestampText(deployment.createTime)],
      ['By', deployment.createdBy],
      ['Checksum', deployment.checksum],
      ['Size', `${deployment.size} bytes`],
      ['Trace', deployment.traceId],
    ]);
    printSection(out, 'Objects', answer.objects.map((object) => sanitize(objectText(object))).join('\n'));
  });
}

function printManifest(out: Output, { manifest }: GetDeploymentResponse): void {
  const lines = Buffer.from(manifest)
    .toString()
    .split('\n')
    .filter((line) => line !== '');
  if (out.format === 'json') for (const line of lines) out.line(line);
  else
    out.line(
      lines
        .map((line) => yamlOf(JSON.parse(line) as Record<string, unknown>))
        .join('---\n')
        .trimEnd(),
    );
}

/** As people write it: what it is comes first. */
function yamlOf({ apiVersion, kind, metadata, ...rest }: Record<string, unknown>): string {
  return kubernetesYaml({ apiVersion, kind, metadata, ...rest });
}

function parseName(name: string): { id?: string; stack?: string; revision?: number } {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name)) return { id: name };
  const [stack, revision] = name.split('@');
  return { stack, revision: revision === undefined ? 0 : parseRevision(revision) };
}
