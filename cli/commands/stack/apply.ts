import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { type ApplyListener, applyStack, previewStack, type StackSpec, stackRef } from '../../deploy/apply.ts';
import {
  changesText,
  previewOfNew,
  printChanges,
  printSubmission,
  servingAgentsText,
} from '../../deploy/submission.ts';
import { placementCountsText } from '../../format/enum-labels.ts';
import { stackName } from '../../format/stack.ts';
import { readSubmission } from '../../manifest/manifest.ts';
import { collect } from '../../options/collect.ts';
import { type ManifestOptions, manifestOptions, namespaceOf } from '../../options/manifest-options.ts';
import { readStackOptions, type StackOptions, splitStackName, stackOptions } from '../../options/stack-options.ts';
import { usageError } from '../../output/failure.ts';
import type { Output } from '../../output/output.ts';
import type { Session } from '../../session/session.ts';
import { waitUntil } from '../../stream/wait.ts';
import { type WaitOptions, waitOptions } from '../../stream/wait-options.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  apply: (command) => {
    manifestOptions(command).requiredOption('--stack <stack>', 'NAME or GENERATOR/NAME; created if it does not exist');
    waitOptions(stackOptions(command))
      .option('--target <agent>', 'place it on this agent, regardless of labels; repeatable', collect)
      .option('--message <text>', 'reason for the change')
      .option('--allow-empty', 'accept a submission without objects, which removes everything')
      .option('--dry-run', 'show what would change and on which agents, without changing it')
      .addHelpText(
        'after',
        '\nLabels, annotations and targets are added to those of the stack. Objects and all other settings replace the current ones.',
      )
      .action(withSession(apply));
  },
};

interface ApplyOptions extends StackOptions, ManifestOptions, WaitOptions {
  readonly stack: string;
  readonly target?: readonly string[];
  readonly message?: string;
  readonly allowEmpty?: boolean;
  readonly dryRun?: boolean;
}

async function apply(session: Session, options: ApplyOptions): Promise<void> {
  const { output } = session;
  if (options.dryRun && options.wait) throw usageError('--dry-run and --wait cannot be combined');
  const spec: StackSpec = {
    ...splitStackName(options.stack),
    ...readStackOptions(options),
    targets: options.target ?? [],
    submission: await readSubmission(options.filename, options.recursive ?? false),
    namespace: namespaceOf(options),
    message: options.message,
    allowEmpty: options.allowEmpty,
  };
  if (options.dryRun) {
    await preview(session, spec);
    return;
  }
  // People see each step. Programs get one result at the end, when all steps succeeded.
  const isTable = output.format === 'table';
  const { stack, response } = await applyStack(session, spec, isTable ? stepPrinter(output) : silentListener);
  const deployment = response.deployment!;
  if (options.wait) await waitUntil(options.wait, session, deployment, options.timeout);
  if (!isTable) printSubmission(output, response);
  else if (options.wait) output.line(`revision ${deployment.revision} is ${options.wait}`);
  else output.line(`agents: ${placementCountsText(stack.placements)}`);
  if (!hasPlacementRules(stack)) {
    const advice = 'add --label, --target or --selector';
    output.note(`warning: stack ${stackName(stack)} is not placed on any agent yet: ${advice}`);
  }
}

/** Tells whether a stack has anything that could match an agent. */
function hasPlacementRules({ labels, annotations, selector, targets }: Stack): boolean {
  return labels.length + Object.keys(annotations).length + targets.length > 0 || selector !== undefined;
}

const silentListener: ApplyListener = { created: () => {}, submitted: () => {}, updated: () => {} };

function stepPrinter(output: Output): ApplyListener {
  return {
    created: (stack) => output.line(`stack ${stackName(stack)} created`),
    submitted: (response) => {
      const outcome = response.unchanged ? 'is already current' : `submitted: ${changesText(response)}`;
      output.line(`revision ${response.deployment?.revision} ${outcome}`);
      printChanges(output, response);
    },
    updated: (stack) => output.line(`stack ${stackName(stack)} updated`),
  };
}

async function preview(session: Session, spec: StackSpec): Promise<void> {
  const { output } = session;
  const preview = await previewStack(session, spec);
  const response = preview ?? previewOfNew(spec);
  if (output.format !== 'table') {
    printSubmission(output, response);
    return;
  }
  if (!preview) output.line(`stack ${stackRef(spec)} would be created`);
  output.line(response.unchanged ? 'nothing would change' : `would be submitted: ${changesText(response)}`);
  printChanges(output, response);
  if (preview) output.line(servingAgentsText(response));
  else
    output.note('the stack does not exist yet: its objects are validated and its agents selected once it is created');
}
