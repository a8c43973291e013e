import { createHash, randomUUID } from 'node:crypto';
import * as assert from 'uvu/assert';
import { toEntry, toGenerator } from '../agent/broker/target.ts';
import type { BrokkrClient } from '../client/client.ts';
import { hashTargetState } from '../contract/target-digest.ts';
import { Outcome, type ReportEventsResponse } from '../gen/brokkr/v1/event_pb.ts';
import { PlacementState } from '../gen/brokkr/v1/placement_pb.ts';
import { type TargetEntry, TargetStateKind } from '../gen/brokkr/v1/target_state_pb.ts';
import type { TestBroker } from './broker.ts';

export interface AgentWish {
  readonly name: string;
  readonly labels?: string[];
  readonly annotations?: Record<string, string>;
  readonly generators?: string[];
  /** URL of the broker that the agent uses; default the first. */
  readonly url?: string;
}

/** All pages of a pull, after their digest was verified. */
export interface Pulled {
  readonly kind: TargetStateKind;
  readonly epoch: bigint;
  readonly digest: Uint8Array;
  readonly entries: readonly TargetEntry[];
  /** Manifests that came with the pages, by hex checksum. */
  readonly inline: ReadonlyMap<string, Uint8Array>;
  readonly pages: number;
}

/** An agent without a cluster, whose every step a test takes over the real contract. */
export interface TestAgent {
  readonly id: string;
  readonly name: string;
  readonly pak: string;
  readonly clusterId: string;
  readonly client: BrokkrClient;
  readonly incarnation: bigint;
  /** Starts the agent, or restarts it with a new incarnation. */
  start(more?: {
    held?: { stackId: string; deploymentId: string; order: bigint }[];
    epoch?: bigint;
    clusterId?: string;
  }): Promise<bigint>;
  pull(more?: { digest?: Uint8Array; have?: Uint8Array[]; epoch?: bigint; order?: bigint }): Promise<Pulled>;
  /** Returns the names of the stacks that the agent is to serve, sorted. */
  serves(): Promise<string[]>;
  /** Returns the names of the stacks that the agent is to remove, sorted. */
  removes(): Promise<string[]>;
  entry(stack: string): Promise<TargetEntry>;
  report(
    entry: TargetEntry,
    outcome: Outcome,
    message?: string,
    more?: { readonly heldKeys?: string[]; readonly at?: bigint },
  ): Promise<ReportEventsResponse>;
  /**
   * Acknowledges every removal that is not held, and reports every deployment as applied. Returns the number of
   * reports.
   */
  reconcile(): Promise<number>;
}

/** Creates an agent with the admin's key, and starts it. */
export async function startTestAgent(test: TestBroker, wish: AgentWish): Promise<TestAgent> {
  const made = await makeTestAgent(test, wish);
  await made.start();
  return made;
}

/** Creates an agent with the admin's key without starting it. */
export async function makeTestAgent(test: TestBroker, wish: AgentWish): Promise<TestAgent> {
  const { url, ...rest } = wish;
  const { agent, pak } = await test.client().admin.createAgent(rest);
  assert.ok(agent);
  return asAgent(test.client(pak, url === undefined ? {} : { url }), { id: agent.id, name: agent.name, pak });
}

function asAgent(client: BrokkrClient, { id, name, pak }: { id: string; name: string; pak: string }): TestAgent {
  const clusterId = randomUUID();
  let incarnation = 0n;
  let sequence = 0n;
  const self: TestAgent = {
    id,
    name,
    pak,
    clusterId,
    client,
    get incarnation() {
      return incarnation;
    },
    async start(more = {}) {
      const answer = await client.agent.startAgent({
        clusterId,
        version: 'test',
        kubernetesVersion: 'v1.36.3',
        ...more,
      });
      incarnation = answer.incarnation;
      sequence = 0n;
      return answer.epoch;
    },
    pull: (more = {}) => pullAll(client, { incarnation, ...more }),
    serves: async () => namesOf(await self.pull(), PlacementState.ACTIVE),
    removes: async () => namesOf(await self.pull(), PlacementState.REMOVING),
    async entry(stack) {
      const { entries } = await self.pull();
      const found = entries.find((entry) => entry.stack === stack);
      assert.ok(found, `${name} is told nothing about ${stack}`);
      return found;
    },
    report(entry, outcome, message = '', { heldKeys = [], at = ++sequence } = {}) {
      const { stackId, deploymentId, generation, order } = entry;
      const checksum = Buffer.from(entry.checksum).toString('hex');
      const event = { sequence: at, stackId, deploymentId, checksum, generation, order, outcome, message, heldKeys };
      return client.agent.reportEvents({ incarnation, events: [event] });
    },
    async reconcile() {
      let reports = 0;
      for (const entry of (await self.pull()).entries) {
        const removing = entry.state === PlacementState.REMOVING;
        if (removing ? entry.held && !entry.confirmed : entry.deploymentId === '') continue;
        await self.report(entry, removing ? Outcome.REMOVED : Outcome.APPLIED);
        reports += 1;
      }
      return reports;
    },
  };
  return self;
}

function namesOf(pulled: Pulled, state: PlacementState): string[] {
  return pulled.entries
    .filter((entry) => entry.state === state)
    .map((entry) => entry.stack)
    .sort();
}

/** Pulls all pages and verifies the digest as an agent does. */
async function pullAll(
  { agent }: BrokkrClient,
  request: { incarnation: bigint; digest?: Uint8Array; have?: Uint8Array[]; epoch?: bigint; order?: bigint },
): Promise<Pulled> {
  const entries: TargetEntry[] = [];
  const inline = new Map<string, Uint8Array>();
  let answer = await agent.pullTargetState(request);
  const { generators } = answer;
  let pages = 1;
  for (; ; pages += 1) {
    entries.push(...answer.entries);
    for (const { checksum, data } of answer.manifests) inline.set(Buffer.from(checksum).toString('hex'), data);
    if (answer.nextPageToken === '') break;
    answer = await agent.pullTargetState({ ...request, pageToken: answer.nextPageToken });
  }
  const { kind, epoch, digest } = answer;
  if (kind !== TargetStateKind.UNCHANGED) {
    const paused = kind === TargetStateKind.PAUSED;
    const state = { epoch, paused, entries: entries.map(toEntry), generators: generators.map(toGenerator) };
    const expected = hashTargetState(state, createHash('sha256')).digest('hex');
    assert.is(Buffer.from(digest).toString('hex'), expected, 'the digest is that of what was sent');
  }
  return { kind, epoch, digest, entries, inline, pages };
}

/** A manifest with one ConfigMap; `filler` makes it as large as wanted. */
export function configMap(name: string, value = 'a', filler = 0): Uint8Array {
  const data = { value, ...(filler > 0 && { filler: 'x'.repeat(filler) }) };
  return Buffer.from(
    JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'default' }, data }),
  );
}
