import { healthLabels } from '../../contract/enum-labels.ts';
import { objectText } from '../../contract/object-key.ts';
import { type AgentHealth, Health, type HealthCounts, type ObjectHealth } from '../../gen/brokkr/v1/health_pb.ts';
import type { Output, Tone } from '../output/output.ts';
import { sanitize } from '../output/sanitize.ts';
import type { Session } from '../session/session.ts';
import { joinCounts, styledLabelOf, withStyle } from './enum-labels.ts';

/** Labels and tones of health. */
export const styledHealths = withStyle(healthLabels, {
  [Health.HEALTHY]: { tone: 'good' },
  [Health.PROGRESSING]: { tone: 'warn' },
  [Health.DEGRADED]: { tone: 'warn' },
  [Health.FAILED]: { tone: 'bad' },
  [Health.UNKNOWN]: { tone: 'bad' },
});

/** Returns the label of a health; empty while none is reported. */
export function healthText({ health }: { readonly health: Health }): string {
  return styledLabelOf(styledHealths, health).text;
}

/** Returns the tone of a health. */
export function healthTone({ health }: { readonly health: Health }): Tone | undefined {
  return styledLabelOf(styledHealths, health).tone;
}

/** Lists the counts of each health, worst first: "1 failed, 2 healthy"; empty while none is reported. */
export function healthCountsText(counts: HealthCounts | undefined): string {
  const { unknown = 0, failed = 0, degraded = 0, progressing = 0, healthy = 0 } = counts ?? {};
  return joinCounts({ unknown, failed, degraded, progressing, healthy });
}

/** Returns the tone of the worst health. */
export function healthCountsTone(counts: HealthCounts | undefined): Tone | undefined {
  if (!counts) return undefined;
  if (counts.failed + counts.unknown > 0) return 'bad';
  if (counts.degraded + counts.progressing > 0) return 'warn';
  return counts.healthy > 0 ? 'good' : undefined;
}

/** Describes an unhealthy object: "Deployment.apps shop/web: degraded: 1 of 3 replicas ready". */
export function objectLine(output: Output, { object, health, message }: ObjectHealth): string {
  const { text, tone } = styledLabelOf(styledHealths, health);
  return [sanitize(objectText(object)), output.paint(tone, text), sanitize(message)]
    .filter((part) => part !== '')
    .join(': ');
}

/** Says how many entries a shortened list omits: "and 3 more"; empty when it omits none. */
export function omittedText(listed: number, total: number): string {
  return total > listed ? `and ${total - listed} more` : '';
}

/** Reads the health of a stack on one agent; undefined when the agent does not serve the stack or has not reported. */
export async function healthOn(
  { broker }: Pick<Session, 'broker'>,
  stack: string,
  agent: string,
  timeoutMs?: number,
): Promise<AgentHealth | undefined> {
  const { agents } = await broker.getStackHealth({ stack, agent }, { timeoutMs });
  return agents[0];
}
