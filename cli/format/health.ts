import { healthLabels } from '../../contract/enum-labels.ts';
import { objectText } from '../../contract/object-key.ts';
import { type AgentHealth, Health, type HealthCounts, type ObjectHealth } from '../../gen/brokkr/v1/health_pb.ts';
import { type Output, sanitize, type Tone } from '../output/output.ts';
import type { Session } from '../session/session.ts';
import { joinCounts, styledLabelOf, withStyle } from './enum-labels.ts';

export const styledHealths = withStyle(healthLabels, {
  [Health.HEALTHY]: { tone: 'good' },
  [Health.PROGRESSING]: { tone: 'warn' },
  [Health.DEGRADED]: { tone: 'warn' },
  [Health.FAILED]: { tone: 'bad' },
  [Health.UNKNOWN]: { tone: 'bad' },
});

/** A column or a part of a line; empty when nobody has reported it. */
export function healthText({ health }: { readonly health: Health }): string {
  return styledLabelOf(styledHealths, health).text;
}

export function healthTone({ health }: { readonly health: Health }): Tone | undefined {
  return styledLabelOf(styledHealths, health).tone;
}

/** "1 failed, 2 healthy": the worst first; empty when nobody has reported it. */
export function healthCountsText(counts: HealthCounts | undefined): string {
  const { unknown = 0, failed = 0, degraded = 0, progressing = 0, healthy = 0 } = counts ?? {};
  return joinCounts({ unknown, failed, degraded, progressing, healthy });
}

/** What most needs a look. */
export function healthCountsTone(counts: HealthCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.unknown > 0) return 'bad';
  if (counts.degraded + counts.progressing > 0) return 'warn';
  return counts.healthy > 0 ? 'good' : undefined;
}

/** "Deployment.apps shop/web: degraded: 1 of 3 replicas ready". */
export function objectLine(out: Output, { object, health, message }: ObjectHealth): string {
  const { text, tone } = styledLabelOf(styledHealths, health);
  return [sanitize(objectText(object)), out.paint(tone, text), sanitize(message)]
    .filter((part) => part !== '')
    .join(': ');
}

/** Text below the objects when the list is cut. */
export function omittedText(shown: number, all: number): string {
  return all > shown ? `and ${all - shown} more` : '';
}

/** How a stack does on one agent; undefined when the agent does not serve it or has not reported. */
export async function healthOn(
  { broker }: Pick<Session, 'broker'>,
  stack: string,
  agent: string,
  timeoutMs?: number,
): Promise<AgentHealth | undefined> {
  const { agents } = await broker.getStackHealth({ stack, agent }, { timeoutMs });
  return agents[0];
}
