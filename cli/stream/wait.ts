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
import { type Output, sanitize } from '../output/output.ts';
import type { Session } from '../session/session.ts';
import { followStack } from './follow.ts';

/** What is waited for on every agent. */
export type WaitCondition = 'healthy' | 'applied';

type AwaitedDeployment = Pick<Deployment, 'id' | 'revision' | 'stackId' | 'stack'>;

/** For `--wait [what]` of commander. */
export function parseWaitCondition(text: string): WaitCondition {
  if (text === 'healthy' || text === 'applied') return text;
  throw new InvalidArgumentError('write --wait=healthy or --wait=applied, or put --wait behind the other words.');
}

/**
 * Waits until the deployment is healthy, or only applied, on every agent that serves the stack. Throws a Failure with the agent's
 * own words when one failed, will not become healthy by itself, is held or is ahead; when another deployment took its place; when
 * nobody serves the stack; or when the time is over.
 */
export async function waitUntil(
  condition: WaitCondition,
  session: Session,
  deployment: AwaitedDeployment,
  timeoutMs: number,
): Promise<void> {
  const progress = showProgress(session.out);
  const signal = AbortSignal.timeout(timeoutMs);
  let last: WaitProgress | undefined;
  try {
    for await (const { stack, placements } of followStack(session, deployment.stackId, { signal })) {
      if (!stack) continue;
      last = evaluateProgress(condition, stack, [...placements.values()], deployment);
      progress.say(last);
      const [hopeless] = last.pending.filter(({ health }) => health === Health.FAILED);
      if (hopeless) throw await unhealthyFailure(session, hopeless);
      // Of very many placements the first message holds a part.
      if (last.pending.length === 0 && placements.size >= placementCount(stack)) return;
    }
    throw new Failure(`stack ${deployment.stack} was deleted meanwhile`);
  } catch (error) {
    if (!signal.aborted || error instanceof Failure) throw error;
    throw await timeoutFailure(session, deployment.stack, last, timeoutMs, condition);
  } finally {
    progress.end();
  }
}

function placementCount({ placements }: Stack): number {
  const { pending = 0, applied = 0, failed = 0, removing = 0, held = 0, ahead = 0 } = placements ?? {};
  return pending + applied + failed + removing + held + ahead;
}

interface WaitProgress {
  readonly condition: WaitCondition;
  readonly applied: number;
  readonly all: number;
  /** Those that are not there yet; what they say is about this deployment. */
  readonly pending: readonly Pick<Placement, 'stack' | 'agent' | 'phase' | 'message' | 'health' | 'healthMessage'>[];
}

function evaluateProgress(
  condition: WaitCondition,
  stack: Stack,
  all: readonly Placement[],
  { id, revision, stack: name }: AwaitedDeployment,
): WaitProgress {
  if (stack.deleteTime) throw new Failure(`stack ${name} is being deleted`);
  if (stack.currentDeploymentId !== id)
    throw new Failure(`revision ${stack.revision} of stack ${name} has taken the place of revision ${revision}`);
  const serving = all.filter(({ state }) => state === PlacementState.ACTIVE);
  if (serving.length === 0) {
    const hint = `label or target it, or ask: brokkr explain ${name} AGENT`;
    throw new Failure(`revision ${revision} is stored, but no agent serves stack ${name}`, { hint });
  }
  const reports = serving.map((placement) => reportFor(placement, id));
  for (const placement of reports) failIfStuck(placement);
  const pending = reports.filter(
    ({ phase, health }) => phase !== PlacementPhase.APPLIED || (condition === 'healthy' && health !== Health.HEALTHY),
  );
  const applied = reports.filter(({ phase }) => phase === PlacementPhase.APPLIED).length;
  return { condition, applied, all: serving.length, pending };
}

/** A placement may have been read just before the new deployment: then it says nothing about that. */
function reportFor(
  { stack, agent, phase, message, health, healthMessage, desiredDeploymentId }: Placement,
  id: string,
) {
  return desiredDeploymentId === id
    ? { stack, agent, phase, message, health, healthMessage }
    : { stack, agent, phase: PlacementPhase.PENDING, message: '', health: Health.UNSPECIFIED, healthMessage: '' };
}

function failIfStuck({ phase, agent, stack, message }: WaitProgress['pending'][number]): void {
  const reports = sanitize(message);
  switch (phase) {
    case PlacementPhase.FAILED:
      throw new Failure(`agent ${agent}: ${reports}`, {
        hint: `it keeps trying; look with: brokkr explain ${stack} ${agent}`,
      });
    case PlacementPhase.HELD:
      throw new Failure(`agent ${agent} waits: ${reports}`, {
        hint: `if that is right: brokkr confirm-removal ${agent} ${stack}`,
      });
    case PlacementPhase.AHEAD:
      throw new Failure(`agent ${agent} holds something newer: ${reports}`, {
        hint: `to let it go back: brokkr confirm-removal ${agent} ${stack}`,
      });
  }
}

async function unhealthyFailure(session: Session, placement: WaitProgress['pending'][number]): Promise<Failure> {
  const { stack, agent, healthMessage } = placement;
  const reports = sanitize(healthMessage) || 'it is applied, but has failed';
  return new Failure([`agent ${agent}: ${reports}`, ...(await unhealthyObjectLines(session, placement))].join('\n'), {
    hint: `look closely with: brokkr diagnose ${stack} ${agent}`,
  });
}

async function timeoutFailure(
  session: Session,
  stack: string,
  last: WaitProgress | undefined,
  timeoutMs: number,
  condition: WaitCondition,
): Promise<Failure> {
  const summary = `not ${condition} within ${shortDuration(timeoutMs)}`;
  const [first] = last?.pending ?? [];
  if (!last || !first) return new Failure(summary);
  const verb = first.phase === PlacementPhase.APPLIED ? 'diagnose' : 'explain';
  return new Failure(
    [`${summary}: ${progressText(last)}`, ...(await unhealthyObjectLines(session, first))].join('\n'),
    {
      hint: `ask: brokkr ${verb} ${stack} ${first.agent}`,
    },
  );
}

const maxListedObjects = 5;
/** For what is only summary besides. */
const detailsTimeoutMs = 5_000;

/** The objects that are not healthy there, a line each. */
async function unhealthyObjectLines(
  session: Session,
  { stack, agent, phase }: WaitProgress['pending'][number],
): Promise<string[]> {
  if (phase !== PlacementPhase.APPLIED) return [];
  const health = await healthOn(session, stack, agent, detailsTimeoutMs).catch(() => undefined);
  const objects = health?.objects ?? [];
  const lines = objects.slice(0, maxListedObjects).map((object) => objectLine(session.out, object));
  return [...lines, omittedText(lines.length, objects.length)].filter((line) => line !== '').map((line) => `  ${line}`);
}

const maxNamedAgents = 3;

function progressText({ condition, applied, all, pending }: WaitProgress): string {
  const more = pending.length > maxNamedAgents ? ', …' : '';
  const named = pending.slice(0, maxNamedAgents).map(pendingAgentText).join(', ');
  const rest = pending.length === 0 ? '' : `, waiting for ${named}${more}`;
  const done = all - pending.length;
  const also = condition === 'healthy' && applied > done ? ` (${applied} applied)` : '';
  return `${done} of ${pluralize(all, 'agent')} ${condition}${also}${rest}`;
}

/** An agent, and what it says is missing there: "edge (progressing: 1 of 3 replicas ready)". */
function pendingAgentText(placement: WaitProgress['pending'][number]): string {
  const { agent, phase, message, healthMessage } = placement;
  const health = [healthText(placement), healthMessage].filter((text) => text !== '').join(': ');
  const why = phase === PlacementPhase.APPLIED ? health || 'no health reported yet' : message;
  return why === '' ? agent : `${agent} (${sanitize(why)})`;
}

/** One line that is written over on a terminal; elsewhere a line for each change. */
function showProgress(out: Output): { say(standing: WaitProgress): void; end(): void } {
  const live = Boolean(process.stderr.isTTY);
  let shown = '';
  return {
    say: (standing) => {
      const text = progressText(standing);
      if (text === shown) return;
      shown = text;
      if (live) process.stderr.write(`\r\x1b[K${text.slice(0, (process.stderr.columns || 80) - 1)}`);
      else out.note(text);
    },
    end: () => {
      if (live && shown !== '') process.stderr.write('\n');
    },
  };
}
