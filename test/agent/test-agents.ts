import * as assert from 'uvu/assert';
import type { StackEvent } from '../../agent/target/stack-event.ts';
import {
  startTestAgent,
  type TargetStack,
  type TestAgent,
  type TestAgentOptions,
  type TestCluster,
} from './test-agent.ts';

/** The hooks of a suite that run after each test and after the last one. */
interface Suite {
  readonly after: { (hook: () => Promise<void>): void; each(hook: () => Promise<void>): void };
}

/** The agents that the tests of one suite start on one cluster. */
export interface Agents {
  /** Starts an agent that is closed after its test. Unless a namespace is given, it has its own inventory, as on another cluster. */
  start(options?: TestAgentOptions): Promise<TestAgent>;
  /** Inventory namespace of the agent started last; empty before the first. */
  readonly namespace: string;
}

/** Closes agents after each test, and the cluster after the last one. */
export function agentsOn(test: Suite, testCluster: Pick<TestCluster, 'source' | 'close'>): Agents {
  const cores: TestAgent[] = [];
  let count = 0;
  let namespace = '';
  test.after.each(async () => {
    await Promise.all(cores.splice(0).map((testAgent) => testAgent.close()));
  });
  test.after(() => testCluster.close());
  return {
    async start(options = {}) {
      namespace = options.namespace ?? `brokkr-${++count}`;
      const testAgent = await startTestAgent(testCluster.source, { ...options, namespace });
      cores.push(testAgent);
      return testAgent;
    },
    get namespace() {
      return namespace;
    },
  };
}

/** Gives an agent a stack, and returns what it reports of it next. */
export async function submitStack(testAgent: TestAgent, target: TargetStack): Promise<StackEvent> {
  const reported = testAgent.nextEvent(target.stackId);
  testAgent.setTarget([target]);
  return reported;
}

/** Makes this stack the whole target state, and waits until the agent reports it applied. */
export async function applyStack(testAgent: TestAgent, target: TargetStack): Promise<StackEvent> {
  const event = await submitStack(testAgent, target);
  assert.is(event.outcome, 'applied', event.message);
  return event;
}
