import { InvalidArgumentError } from 'commander';
import type { Deployment } from '../../gen/brokkr/v1/deployment_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import type { Placement } from '../../gen/brokkr/v1/placement_pb.ts';
import { PlacementPhase, PlacementState } from '../../gen/brokkr/v1/placement_pb.ts';
import type { Stack } from '../../gen/brokkr/v1/stack_pb.ts';
import { shortDuration } from '../format/duration.ts';
import { pluralize } from '../format/enum-labels.ts';
import { healthOn, healthText, objectLine, omittedText } from '../format/health.ts';
import { Failure } from '../output/failure.ts';
import type { Output } from '../output/output.ts';
import { sanitize } from '../output/sanitize.ts';
import type { Session } from '../session/session.ts';
import { followStack } from './follow.ts';

/** The state that every agent has to report before the wait ends. */
export type WaitCondition = 'healthy' | 'applied';

type AwaitedDeployment = Pick<Deployment, 'id' | 'revision' | 'stackId' | 'stack'>;

/** Parses the value of `--wait`; for commander. */
export function parseWaitCondition(text: string): WaitCondition {
  if (text === 'healthy' || text === 'applied') return text;
  throw new InvalidArgumentError('use --wait=healthy or --wait=applied, or put --wait after the other arguments.');
}

/**
 * Waits until the deployment is healthy, or only applied, on every agent that serves the stack. Throws a Failure with the agent's
 * message when one failed, will not become healthy by itself, is held or is ahead; also when another deployment supersedes this one,
 * when no agent serves the stack, and at the timeout.
 */
export async function waitUntil(
  condition: WaitCondition,
  session: Session,
  deployment: AwaitedDeployment,
  timeoutMs: number,
): Promise<void> {
  const display = openProgressDisplay(session.output);
  const signal = AbortSignal.timeout(timeoutMs);
  let progress: WaitProgress | undefined;
  try {
    for await (const { stack, placements } of followStack(session, deployment.stackId, { signal })) {
      if (!stack) continue;
      progress = evaluateProgress(condition, stack, [...placements.values()], deployment);
      display.update(progress);
      const [failed] = progress.pending.filter(({ health }) => health === Health.FAILED);
      if (failed) throw await unhealthyFailure(session, failed);
      // The first message of a large fleet contains only a part of the placements.
      if (progress.pending.length > 0 || placements.size < placementCount(stack)) continue;
      noteMessages(session.output, [...placements.values()]);
      return;
    }
    throw new Failure(`stack ${deployment.stack} was deleted in the meantime`);
  } catch (error) {
    if (!signal.aborted || error instanceof Failure) throw error;
    throw await timeoutFailure(session, deployment.stack, progress, timeoutMs, condition);
  } finally {
    display.close();
  }
}

/** Prints what agents say of a deployment that they have applied, such as warnings of their API servers; the same text once. */
function noteMessages(output: Output, placements: readonly Placement[]): void {
  const agentsByMessage = Map.groupBy(
    placements.filter(({ phase, message }) => phase === PlacementPhase.APPLIED && message !== ''),
    ({ message }) => message,
  );
  for (const [message, [first, ...others]] of agentsByMessage) {
    const more = others.length > 0 ? ` and ${others.length} more` : '';
    output.note(sanitize(`agent ${first!.agent}${more}: ${message}`));
  }
}

function placementCount({ placements }: Stack): number {
  const { pending = 0, applied = 0, failed = 0, removing = 0, held = 0, ahead = 0 } = placements ?? {};
  return pending + applied + failed + removing + held + ahead;
}

/** A placement's report about the awaited deployment. */
type PlacementReport = Pick<Placement, 'stack' | 'agent' | 'phase' | 'message' | 'health' | 'healthMessage'>;

interface WaitProgress {
  readonly condition: WaitCondition;
  /** Agents that have applied the deployment. */
  readonly applied: number;
  /** Agents that serve the stack. */
  readonly total: number;
  /** Placements that do not meet the condition yet. */
  readonly pending: readonly PlacementReport[];
}

function evaluateProgress(
  condition: WaitCondition,
  stack: Stack,
  placements: readonly Placement[],
  { id, revision, stack: name }: AwaitedDeployment,
): WaitProgress {
  if (stack.deleteTime) throw new Failure(`stack ${name} is being deleted`);
  if (stack.currentDeploymentId !== id)
    throw new Failure(`revision ${revision} of stack ${name} was superseded by revision ${stack.revision}`);
  const serving = placements.filter(({ state }) => state === PlacementState.ACTIVE);
  if (serving.length === 0) {
    const hint = `add a label or a target, or find out why with: brokkr explain ${name} AGENT`;
    throw new Failure(`revision ${revision} is stored, but no agent serves stack ${name}`, { hint });
  }
  const reports = serving.map((placement) => reportOn(placement, id));
  for (const report of reports) failIfStuck(report);
  const pending = reports.filter(
    ({ phase, health }) => phase !== PlacementPhase.APPLIED || (condition === 'healthy' && health !== Health.HEALTHY),
  );
  const applied = reports.filter(({ phase }) => phase === PlacementPhase.APPLIED).length;
  return { condition, applied, total: serving.length, pending };
}

/** Reads what a placement reports about a deployment. A placement that is older than the deployment counts as pending. */
function reportOn(placement: Placement, deploymentId: string): PlacementReport {
  const { stack, agent, phase, message, health, healthMessage, desiredDeploymentId } = placement;
  return desiredDeploymentId === deploymentId
    ? { stack, agent, phase, message, health, healthMessage }
    : { stack, agent, phase: PlacementPhase.PENDING, message: '', health: Health.UNSPECIFIED, healthMessage: '' };
}

function failIfStuck({ phase, agent, stack, message }: PlacementReport): void {
  const reason = sanitize(message);
  switch (phase) {
    case PlacementPhase.FAILED:
      throw new Failure(`agent ${agent}: ${reason}`, {
        hint: `it keeps retrying; for details: brokkr explain ${stack} ${agent}`,
      });
    case PlacementPhase.HELD:
      throw new Failure(`agent ${agent} waits for a confirmation: ${reason}`, {
        hint: `to confirm it: brokkr confirm-removal ${agent} ${stack}`,
      });
    case PlacementPhase.AHEAD:
      throw new Failure(`agent ${agent} has a newer revision: ${reason}`, {
        hint: `to allow the older revision: brokkr confirm-removal ${agent} ${stack}`,
      });
  }
}

async function unhealthyFailure(session: Session, placement: PlacementReport): Promise<Failure> {
  const { stack, agent, healthMessage } = placement;
  const reason = sanitize(healthMessage) || 'it is applied, but has failed';
  return new Failure([`agent ${agent}: ${reason}`, ...(await unhealthyObjectLines(session, placement))].join('\n'), {
    hint: `for details: brokkr diagnose ${stack} ${agent}`,
  });
}

async function timeoutFailure(
  session: Session,
  stack: string,
  progress: WaitProgress | undefined,
  timeoutMs: number,
  condition: WaitCondition,
): Promise<Failure> {
  const summary = `not ${condition} within ${shortDuration(timeoutMs)}`;
  const [first] = progress?.pending ?? [];
  if (!progress || !first) return new Failure(summary);
  const verb = first.phase === PlacementPhase.APPLIED ? 'diagnose' : 'explain';
  const lines = [`${summary}: ${progressText(progress)}`, ...(await unhealthyObjectLines(session, first))];
  return new Failure(lines.join('\n'), { hint: `for details: brokkr ${verb} ${stack} ${first.agent}` });
}

const maxListedObjects = 5;
/** Short, because these lines only add details to an error. */
const detailsTimeoutMs = 5_000;

/** Lists the unhealthy objects of a placement, one per line. */
async function unhealthyObjectLines(session: Session, { stack, agent, phase }: PlacementReport): Promise<string[]> {
  if (phase !== PlacementPhase.APPLIED) return [];
  const health = await healthOn(session, stack, agent, detailsTimeoutMs).catch(() => undefined);
  const objects = health?.objects ?? [];
  const lines = objects.slice(0, maxListedObjects).map((object) => objectLine(session.output, object));
  return [...lines, omittedText(lines.length, objects.length)].filter((line) => line !== '').map((line) => `  ${line}`);
}

const maxNamedAgents = 3;

function progressText({ condition, applied, total, pending }: WaitProgress): string {
  const more = pending.length > maxNamedAgents ? ', …' : '';
  const agents = pending.slice(0, maxNamedAgents).map(pendingAgentText).join(', ');
  const waiting = pending.length === 0 ? '' : `, waiting for ${agents}${more}`;
  const done = total - pending.length;
  const appliedText = condition === 'healthy' && applied > done ? ` (${applied} applied)` : '';
  return `${done} of ${pluralize(total, 'agent')} ${condition}${appliedText}${waiting}`;
}

/** Says what is missing on an agent: "edge (progressing: 1 of 3 replicas ready)". */
function pendingAgentText(placement: PlacementReport): string {
  const { agent, phase, message, healthMessage } = placement;
  const health = [healthText(placement), healthMessage].filter((text) => text !== '').join(': ');
  const reason = phase === PlacementPhase.APPLIED ? health || 'no health reported yet' : message;
  return reason === '' ? agent : `${agent} (${sanitize(reason)})`;
}

/** Shows progress on standard error: one line that is overwritten on a terminal, otherwise a line for each change. */
function openProgressDisplay(output: Output): { update(progress: WaitProgress): void; close(): void } {
  const isTerminal = Boolean(process.stderr.isTTY);
  let shown = '';
  return {
    update: (progress) => {
      const text = progressText(progress);
      if (text === shown) return;
      shown = text;
      if (isTerminal) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
      else output.note(text);
    },
    close: () => {
      if (isTerminal && shown !== '') process.stderr.write('\n');
    },
  };
}
