import { SessionHint } from '../gen/brokkr/v1/target_state_pb.ts';
import type { TestAgent } from './agents.ts';
import { eventually, type TestBroker } from './broker.ts';

/** A session of which a test says every message. */
export interface TestSession {
  /** Every hint so far, in order. */
  readonly hints: readonly SessionHint[];
  heartbeat(cluster?: { reachable: boolean; latency?: { seconds: bigint; nanos: number } }): void;
  end(): Promise<void>;
}

/** Opens a session, with the first broker unless `url` is given, and waits until it is up. */
export async function openSession(test: TestBroker, agent: TestAgent, url = test.url): Promise<TestSession> {
  const { incarnation } = agent;
  const toSay: { case: 'hello' | 'heartbeat'; value: object }[] = [{ case: 'hello', value: { incarnation } }];
  let wake = Promise.withResolvers<void>();
  async function* requests() {
    for (;;) {
      for (let next = toSay.shift(); next !== undefined; next = toSay.shift()) yield { message: next as never };
      await wake.promise;
      wake = Promise.withResolvers<void>();
    }
  }
  const stop = new AbortController();
  const hints: SessionHint[] = [];
  const { agent: service } = test.client(agent.pak, { url });
  const ended = (async () => {
    for await (const { hint } of service.session(requests(), { signal: stop.signal })) hints.push(hint);
  })().catch(() => {});
  await eventually(() => hints.includes(SessionHint.READY));
  return {
    hints,
    heartbeat(cluster) {
      toSay.push({ case: 'heartbeat', value: { cluster } });
      wake.resolve();
    },
    async end() {
      stop.abort();
      await ended;
    },
  };
}
