import { randomUUID } from 'node:crypto';
import { equals } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { SubmitDeploymentResponse } from '../../gen/brokkr/v1/deployment_pb.ts';
import type { LabelSelector, Stack } from '../../gen/brokkr/v1/stack_pb.ts';
import { LabelSelectorSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import type { Submission } from '../manifest/manifest.ts';
import { type StackSettings, settingPaths } from '../options/stack-options.ts';
import { Failure } from '../output/failure.ts';
import { fieldViolations } from '../session/errors.ts';
import type { Session } from '../session/session.ts';

/** What a stack is to be: who serves it, how, and what it runs. */
export interface StackSpec {
  readonly name: string;
  readonly generator: string | undefined;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly selector: LabelSelector | undefined;
  readonly settings: StackSettings;
  readonly targets: readonly string[];
  readonly submission: Submission;
  readonly message: string | undefined;
  readonly allowEmpty: boolean | undefined;
}

/** Of a stack, what it is called and what it runs. */
export type SubmissionSpec = Pick<StackSpec, 'name' | 'generator' | 'submission' | 'message' | 'allowEmpty'>;

/** Is told of each step when it is done: a later one may fail. */
export interface ApplyListener {
  created(stack: Stack): void;
  submitted(answer: SubmitDeploymentResponse): void;
  /** Who serves it, or how, was changed, of a stack that was there. */
  edited(stack: Stack): void;
}

export interface Applied {
  /** As it is after everything. */
  readonly stack: Stack;
  readonly answer: SubmitDeploymentResponse;
}

/** The stack as a request names it. */
export function stackRef({ generator, name }: Pick<StackSpec, 'generator' | 'name'>): string {
  return generator === undefined ? name : `${generator}/${name}`;
}

/**
 * Makes the stack when it is missing, or changes its settings, submits the objects when they differ from the current ones, then
 * adds what is missing of labels, annotations, selector and targets: in this order, so that no agent begins with older settings
 * or an older revision. A new stack whose objects are refused is taken back; the settings of one that is there stay.
 */
export async function applyStack(session: Session, wanted: StackSpec, steps: ApplyListener): Promise<Applied> {
  const { broker } = session;
  const found = await findStack(session, stackRef(wanted));
  const before = found ? await updateSettings(session, found, wanted) : await createStack(session, wanted);
  let answer: SubmitDeploymentResponse;
  try {
    answer = await submit(session, before.id, wanted, false);
  } catch (error) {
    if (!found) await broker.deleteStack({ stack: before.id, etag: before.etag }).catch(() => {});
    throw error;
  }
  if (!found) steps.created(before);
  noteWarnings(session, answer);
  steps.submitted(answer);
  const edited = await updatePlacementRules(session, before, wanted);
  if (found && (edited || before !== found)) steps.edited(before);
  for (const agent of wanted.targets) {
    if (!before.targets.includes(agent)) await broker.addTarget({ stack: before.id, agent });
  }
  const { stack } = await broker.getStack({ stack: before.id });
  return { stack: stack!, answer };
}

/** What a submission would do to a stack that is there; undefined when it is not. */
export async function previewStack(
  session: Session,
  wanted: SubmissionSpec,
): Promise<SubmitDeploymentResponse | undefined> {
  const found = await findStack(session, stackRef(wanted));
  if (!found) return undefined;
  const answer = await submit(session, found.id, wanted, true);
  noteWarnings(session, answer);
  return answer;
}

/** Prints what the broker left out of the manifest, as kubectl prints the warnings of an API server: beside the answer. */
function noteWarnings({ out }: Session, { warnings }: SubmitDeploymentResponse): void {
  for (const warning of warnings) out.note(`warning: ${warning}`);
}

async function findStack({ broker }: Session, ref: string): Promise<Stack | undefined> {
  try {
    const { stack } = await broker.getStack({ stack: ref });
    // One that is being removed gives its name free.
    return stack?.deleteTime ? undefined : stack;
  } catch (error) {
    if (ConnectError.from(error).code === Code.NotFound) return undefined;
    throw error;
  }
}

async function createStack({ broker }: Session, { name, generator, settings }: StackSpec): Promise<Stack> {
  const { stack } = await broker.createStack({ requestId: randomUUID(), name, generator, ...settings });
  return stack!;
}

/** Returns the stack as it is then; the same one when it was so already. */
async function updateSettings(session: Session, stack: Stack, wanted: StackSpec): Promise<Stack> {
  const paths = settingPaths(wanted.settings, stack);
  if (paths.length === 0) return stack;
  await submit(session, stack.id, wanted, true);
  const { stack: changed } = await session.broker.updateStack({
    stack: stack.id,
    ...wanted.settings,
    updateMask: { paths },
  });
  return changed!;
}

async function submit(
  { broker }: Session,
  stack: string,
  { submission, message, allowEmpty }: Omit<SubmissionSpec, 'name' | 'generator'>,
  dryRun: boolean,
): Promise<SubmitDeploymentResponse> {
  const requestId = randomUUID();
  try {
    return await broker.submitDeployment({ requestId, stack, manifest: submission.bytes, message, allowEmpty, dryRun });
  } catch (error) {
    throw withFileLocations(ConnectError.from(error), submission);
  }
}

/** Says where in the files it is what the broker refused. */
function withFileLocations(error: ConnectError, submission: Submission): Error {
  const places = fieldViolations(error).filter(({ field }) => field.startsWith('manifest.documents'));
  if (places.length === 0) return error;
  const lines = places.map(({ description }) => submission.locate(description));
  return new Failure(lines.length === 1 ? lines[0]! : `the objects are refused\n  ${lines.join('\n  ')}`);
}

async function updatePlacementRules({ broker }: Session, stack: Stack, wanted: StackSpec): Promise<boolean> {
  const { selector } = wanted;
  const addLabels = wanted.labels.filter((label) => !stack.labels.includes(label));
  const annotations = Object.entries(wanted.annotations).filter(([key, value]) => stack.annotations[key] !== value);
  const newSelector = selector && !(stack.selector && equals(LabelSelectorSchema, selector, stack.selector));
  if (addLabels.length + annotations.length === 0 && !newSelector) return false;
  const setAnnotations = Object.fromEntries(annotations);
  const updateMask = { paths: newSelector ? ['selector'] : [] };
  await broker.updateStack({ stack: stack.id, addLabels, setAnnotations, selector, updateMask });
  return true;
}
