import type { Outcome, ReportedEvent } from '../gen/brokkr/v1/event_pb.ts';
import type { TargetEntry } from '../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from './agents.ts';
import { eventually, type TestBroker } from './broker.ts';

let fixtureCount = 0;

/** Creates a stack with one deployment, and an agent that is to serve it. */
export async function createEventFixture(
  testBroker: TestBroker,
): Promise<{ agent: TestAgent; stack: string; entry: TargetEntry }> {
  const stack = `s${++fixtureCount}`;
  const agent = await startTestAgent(testBroker, { name: `a${fixtureCount}`, labels: [stack] });
  const { broker } = testBroker.client();
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const entry = await eventually(() => agent.entry(stack));
  return { agent, stack, entry };
}

export type EventInit = Partial<Omit<ReportedEvent, '$typeName' | '$unknown' | 'objects' | 'agentTime'>> & {
  sequence: bigint;
};

/** Reports these events as they are; returns the result of each. */
export async function reportEvents(agent: TestAgent, ...events: EventInit[]) {
  const answer = await agent.client.agent.reportEvents({ incarnation: agent.incarnation, events });
  return answer.receipts.map(({ receipt }) => receipt);
}

/** Builds an event that matches an entry of the target state. */
export function eventFor(entry: TargetEntry, outcome: Outcome, sequence: bigint): EventInit {
  const { stackId, deploymentId, generation, checksum } = entry;
  return { sequence, stackId, deploymentId, generation, checksum: Buffer.from(checksum).toString('hex'), outcome };
}
