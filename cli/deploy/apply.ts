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

/** The desired stack: its placement rules, settings and objects. */
export interface StackSpec {
  readonly name: string;
  readonly generator: string | undefined;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly selector: LabelSelector | undefined;
  readonly settings: StackSettings;
  readonly targets: readonly string[];
  readonly submission: Submission;
  /** The namespace of objects that name none; undefined keeps that of the current deployment. */
  readonly namespace: string | undefined;
  readonly message: string | undefined;
  readonly allowEmpty: boolean | undefined;
}

/** The name of a stack and the objects to submit. */
export type SubmissionSpec = Pick<
  StackSpec,
  'name' | 'generator' | 'submission' | 'namespace' | 'message' | 'allowEmpty'
>;

/** Receives each step once it is done; a later step may still fail. */
export interface ApplyListener {
  created(stack: Stack): void;
  submitted(response: SubmitDeploymentResponse): void;
  /** Placement rules or settings of an existing stack were changed. */
  updated(stack: Stack): void;
}

/** The result of an apply. */
export interface ApplyResult {
  /** The stack after all steps. */
  readonly stack: Stack;
  readonly response: SubmitDeploymentResponse;
}

/** Returns the reference to a stack in requests: "generator/name", or the name alone. */
export function stackRef({ generator, name }: Pick<StackSpec, 'generator' | 'name'>): string {
  return generator === undefined ? name : `${generator}/${name}`;
}

/**
 * Creates the stack or updates its settings, submits the objects, then adds missing labels, annotations, selector and targets. This
 * order keeps agents from starting with outdated settings or an older revision. If the objects are rejected, a new stack is deleted
 * again, and an existing one keeps its previous settings.
 */
export async function applyStack(session: Session, spec: StackSpec, listener: ApplyListener): Promise<ApplyResult> {
  const { broker } = session;
  const existing = await findStack(session, stackRef(spec));
  const stack = existing ? await updateSettings(session, existing, spec) : await createStack(session, spec);
  let response: SubmitDeploymentResponse;
  try {
    response = await submit(session, stack.id, spec, false);
  } catch (error) {
    if (!existing) await broker.deleteStack({ stack: stack.id, etag: stack.etag }).catch(() => {});
    throw error;
  }
  if (!existing) listener.created(stack);
  noteWarnings(session, response);
  listener.submitted(response);
  const hasNewRules = await updatePlacementRules(session, stack, spec);
  if (existing && (hasNewRules || stack !== existing)) listener.updated(stack);
  for (const agent of spec.targets) {
    if (!stack.targets.includes(agent)) await broker.addTarget({ stack: stack.id, agent });
  }
  const { stack: applied } = await broker.getStack({ stack: stack.id });
  return { stack: applied!, response };
}

/** Previews a submission to an existing stack; undefined when the stack does not exist. */
export async function previewStack(
  session: Session,
  spec: SubmissionSpec,
): Promise<SubmitDeploymentResponse | undefined> {
  const existing = await findStack(session, stackRef(spec));
  if (!existing) return undefined;
  const response = await submit(session, existing.id, spec, true);
  noteWarnings(session, response);
  return response;
}

/** Prints the broker's warnings about the manifest to standard error, as kubectl prints those of an API server. */
function noteWarnings({ output }: Session, { warnings }: SubmitDeploymentResponse): void {
  for (const warning of warnings) output.note(`warning: ${warning}`);
}

async function findStack({ broker }: Session, ref: string): Promise<Stack | undefined> {
  try {
    const { stack } = await broker.getStack({ stack: ref });
    // The name of a stack that is being deleted is free again.
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

/** Returns the updated stack, or the same object if no setting differs. */
async function updateSettings(session: Session, stack: Stack, spec: StackSpec): Promise<Stack> {
  const paths = settingPaths(spec.settings, stack);
  if (paths.length === 0) return stack;
  // Rejected objects must not change the settings.
  await submit(session, stack.id, spec, true);
  const { stack: changed } = await session.broker.updateStack({
    stack: stack.id,
    ...spec.settings,
    updateMask: { paths },
  });
  return changed!;
}

async function submit(
  { broker }: Session,
  stack: string,
  { submission, namespace, message, allowEmpty }: Omit<SubmissionSpec, 'name' | 'generator'>,
  dryRun: boolean,
): Promise<SubmitDeploymentResponse> {
  const requestId = randomUUID();
  try {
    const manifest = submission.bytes;
    return await broker.submitDeployment({ requestId, stack, manifest, namespace, message, allowEmpty, dryRun });
  } catch (error) {
    throw withFileLocations(ConnectError.from(error), submission);
  }
}

/** Replaces the positions in the submission, which the broker reports, by positions in the files. */
function withFileLocations(error: ConnectError, submission: Submission): Error {
  const documents = fieldViolations(error).filter(({ field }) => field.startsWith('manifest.documents'));
  if (documents.length === 0) return error;
  const lines = documents.map(({ description }) => submission.locate(description));
  return new Failure(lines.length === 1 ? lines[0]! : `the broker rejected the objects\n  ${lines.join('\n  ')}`);
}

/** Adds missing labels, annotations and the selector; returns whether the stack was changed. */
async function updatePlacementRules({ broker }: Session, stack: Stack, spec: StackSpec): Promise<boolean> {
  const { selector } = spec;
  const addLabels = spec.labels.filter((label) => !stack.labels.includes(label));
  const annotations = Object.entries(spec.annotations).filter(([key, value]) => stack.annotations[key] !== value);
  const newSelector = selector && !(stack.selector && equals(LabelSelectorSchema, selector, stack.selector));
  if (addLabels.length + annotations.length === 0 && !newSelector) return false;
  const setAnnotations = Object.fromEntries(annotations);
  const updateMask = { paths: newSelector ? ['selector'] : [] };
  await broker.updateStack({ stack: stack.id, addLabels, setAnnotations, selector, updateMask });
  return true;
}
