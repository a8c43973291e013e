import type { Deployment } from '../gen/brokkr/v1/deployment_pb.ts';
import type { Placement } from '../gen/brokkr/v1/placement_pb.ts';
import { PlacementPhase, PlacementState } from '../gen/brokkr/v1/placement_pb.ts';
import type { Stack } from '../gen/brokkr/v1/stack_pb.ts';
import { shortDuration } from './duration.ts';
import { Failure } from './failure.ts';
import { followStack } from './follow.ts';
import { type Output, printable } from './output.ts';
import type { Session } from './session.ts';
import { count } from './words.ts';

/**
 * Waits until every agent that serves the stack has applied the deployment. Throws a Failure with the agent's own words when one
 * failed, is held or is ahead; when another deployment took its place; when nobody serves the stack; or when the time is over.
 */
export async function waitUntilApplied(
  session: Session,
  deployment: Pick<Deployment, 'id' | 'revision' | 'stackId' | 'stack'>,
  timeoutMs: number,
): Promise<void> {
  const progress = showProgress(session.out);
  const signal = AbortSignal.timeout(timeoutMs);
  let last: Standing | undefined;
  try {
    for await (const { stack, placements } of followStack(session, deployment.stackId, signal)) {
      if (!stack) continue;
      last = judge(stack, [...placements.values()], deployment);
      progress.say(last);
      // Of very many placements the first message holds a part.
      if (last.pending.length === 0 && placements.size >= placementCount(stack)) return;
    }
    throw new Failure(`stack ${deployment.stack} was deleted meanwhile`);
  } catch (error) {
    if (!signal.aborted || error instanceof Failure) throw error;
    throw timedOut(deployment.stack, last, timeoutMs);
  } finally {
    progress.end();
  }
}

function placementCount({ placements }: Stack): number {
  const { pending = 0, applied = 0, failed = 0, removing = 0, held = 0, ahead = 0 } = placements ?? {};
  return pending + applied + failed + removing + held + ahead;
}

interface Standing {
  readonly applied: number;
  readonly all: number;
  /** Names of the agents that have not applied it. */
  readonly pending: readonly string[];
}

function judge(
  stack: Stack,
  all: readonly Placement[],
  { id, revision, stack: name }: Pick<Deployment, 'id' | 'revision' | 'stack'>,
): Standing {
  if (stack.deleteTime) throw new Failure(`stack ${name} is being deleted`);
  if (stack.currentDeploymentId !== id)
    throw new Failure(`revision ${stack.revision} of stack ${name} has taken the place of revision ${revision}`);
  const serving = all.filter(({ state }) => state === PlacementState.ACTIVE);
  if (serving.length === 0) {
    const next = `label or target it, or ask: brokkr explain ${name} AGENT`;
    throw new Failure(`revision ${revision} is stored, but no agent serves stack ${name}`, { next });
  }
  const pending = serving.filter((placement) => !isApplied(placement, id));
  for (const placement of pending) refuseStuck(placement, id);
  return {
    applied: serving.length - pending.length,
    all: serving.length,
    pending: pending.map(({ agent }) => agent),
  };
}

function isApplied({ phase, desiredDeploymentId }: Placement, id: string): boolean {
  return phase === PlacementPhase.APPLIED && desiredDeploymentId === id;
}

function refuseStuck({ phase, agent, stack, message, desiredDeploymentId }: Placement, id: string): void {
  // A placement may have been read just before the new deployment.
  if (desiredDeploymentId !== id) return;
  const told = printable(message);
  switch (phase) {
    case PlacementPhase.FAILED:
      throw new Failure(`agent ${agent}: ${told}`, {
        next: `it keeps trying; look with: brokkr explain ${stack} ${agent}`,
      });
    case PlacementPhase.HELD:
      throw new Failure(`agent ${agent} waits: ${told}`, {
        next: `if that is right: brokkr confirm-removal ${agent} ${stack}`,
      });
    case PlacementPhase.AHEAD:
      throw new Failure(`agent ${agent} holds something newer: ${told}`, {
        next: `to let it go back: brokkr confirm-removal ${agent} ${stack}`,
      });
  }
}

function timedOut(stack: string, last: Standing | undefined, timeoutMs: number): Failure {
  const [first] = last?.pending ?? [];
  return new Failure(`not applied within ${shortDuration(timeoutMs)}${last ? `: ${standingText(last)}` : ''}`, {
    next: first === undefined ? undefined : `ask: brokkr explain ${stack} ${first}`,
  });
}

const namedAgents = 3;

function standingText({ applied, all, pending }: Standing): string {
  const more = pending.length > namedAgents ? ', …' : '';
  const rest = pending.length === 0 ? '' : `, waiting for ${pending.slice(0, namedAgents).join(', ')}${more}`;
  return `${applied} of ${count(all, 'agent')} applied${rest}`;
}

/** One line that is written over on a terminal; elsewhere a line for each change. */
function showProgress(out: Output): { say(standing: Standing): void; end(): void } {
  const live = Boolean(process.stderr.isTTY);
  let shown = '';
  return {
    say: (standing) => {
      const text = standingText(standing);
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
