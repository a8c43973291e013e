import type { Outcome, ReportedEvent } from '../gen/brokkr/v1/event_pb.ts';
import type { TargetEntry } from '../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from './agents.ts';
import { eventually, type TestBroker } from './broker.ts';

let scenes = 0;

/** Creates a stack with one deployment, and an agent that is to serve it. */
export async function eventScene(test: TestBroker): Promise<{ agent: TestAgent; stack: string; entry: TargetEntry }> {
  const stack = `s${++scenes}`;
  const agent = await startTestAgent(test, { name: `a${scenes}`, labels: [stack] });
  const { broker } = test.client();
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  const entry = await eventually(() => agent.entry(stack));
  return { agent, stack, entry };
}

export type Told = Partial<Omit<ReportedEvent, '$typeName' | '$unknown' | 'objects' | 'agentTime'>> & {
  sequence: bigint;
};

/** Reports these events as they are; returns the result of each. */
export async function reportEvents(agent: TestAgent, ...events: Told[]) {
  const answer = await agent.client.agent.reportEvents({ incarnation: agent.incarnation, events });
  return answer.receipts.map(({ receipt }) => receipt);
}

/** Builds an event that matches an entry of the target state. */
export function eventAbout(entry: TargetEntry, outcome: Outcome, sequence: bigint): Told {
  const { stackId, deploymentId, generation, checksum } = entry;
  return { sequence, stackId, deploymentId, generation, checksum: Buffer.from(checksum).toString('hex'), outcome };
}
