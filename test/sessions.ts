import type { MessageInitShape } from '@bufbuild/protobuf';
import { SessionHint } from '../gen/brokkr/v1/target_state_pb.ts';
import type { TelemetryItemSchema } from '../gen/brokkr/v1/telemetry_pb.ts';
import type { TestAgent } from './agents.ts';
import { eventually, type TestBroker } from './broker.ts';

export type TelemetryItemInit = MessageInitShape<typeof TelemetryItemSchema>;

/** A session whose messages a test sends one by one. */
export interface TestSession {
  /** All hints so far, in order. */
  readonly hints: readonly SessionHint[];
  /** Sequence of the last acknowledged telemetry. */
  readonly received: bigint;
  telemetry(sequence: bigint, items: readonly TelemetryItemInit[]): void;
  heartbeat(cluster?: { reachable: boolean; latency?: { seconds: bigint; nanos: number } }): void;
  end(): Promise<void>;
}

/** Opens a session, with the first broker unless `url` is given, and waits until it is established. */
export async function openSession(test: TestBroker, agent: TestAgent, url = test.url): Promise<TestSession> {
  const { incarnation } = agent;
  const toSay: { case: 'hello' | 'heartbeat' | 'telemetry'; value: object }[] = [
    { case: 'hello', value: { incarnation } },
  ];
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
  let received = 0n;
  const { agent: service } = test.client(agent.pak, { url });
  const ended = (async () => {
    for await (const { hint, telemetrySequence } of service.session(requests(), { signal: stop.signal })) {
      hints.push(hint);
      received = telemetrySequence;
    }
  })().catch(() => {});
  await eventually(() => hints.includes(SessionHint.READY));
  const say = (name: 'heartbeat' | 'telemetry', value: object) => {
    toSay.push({ case: name, value });
    wake.resolve();
  };
  return {
    hints,
    get received() {
      return received;
    },
    telemetry: (sequence, items) => say('telemetry', { sequence, items }),
    heartbeat: (cluster) => say('heartbeat', { cluster }),
    async end() {
      stop.abort();
      await ended;
    },
  };
}
