import * as assert from 'uvu/assert';
import type { StackEvent } from '../../agent/target/stack-event.ts';
import { type Core, type CoreOptions, type Lab, startCore, type Wish } from './test-agent.ts';

/** Of a suite: told what to do after each of its tests, and after the last. */
interface Suite {
  readonly after: { (hook: () => Promise<void>): void; each(hook: () => Promise<void>): void };
}

/** For tests: the agents of one suite on one cluster. */
export interface Agents {
  /** Starts one with an inventory of its own, as a second cluster's would be, unless a namespace is given. It ends with its test. */
  start(options?: CoreOptions): Promise<Core>;
  /** Where the inventory of the last one is; empty before the first. */
  readonly namespace: string;
}

/** Closes agents after each test, and the cluster after the last. */
export function agentsOn(test: Suite, lab: Pick<Lab, 'source' | 'close'>): Agents {
  const cores: Core[] = [];
  let count = 0;
  let namespace = '';
  test.after.each(async () => {
    await Promise.all(cores.splice(0).map((core) => core.close()));
  });
  test.after(() => lab.close());
  return {
    async start(options = {}) {
      namespace = options.namespace ?? `brokkr-${++count}`;
      const core = await startCore(lab.source, { ...options, namespace });
      cores.push(core);
      return core;
    },
    get namespace() {
      return namespace;
    },
  };
}

/** Makes this the whole target state, and waits until the agent says that it is applied. */
export async function applied(core: Core, wish: Wish): Promise<StackEvent> {
  const told = core.next(wish.stackId);
  core.tell([wish]);
  const event = await told;
  assert.is(event.outcome, 'applied', event.message);
  return event;
}
