import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import * as assert from 'uvu/assert';
import { type AgentOptions, type RunningAgent, startAgent } from '../../agent/agent.ts';
import { type Config, readConfig } from '../../agent/config.ts';
import { connectCluster } from '../../agent/kube/client.ts';
import type { KubeObject, ObjectId } from '../../agent/object/kube-object.ts';
import type { BrokkrClient } from '../../client/client.ts';
import type { Placement, PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startTestBroker, type TestBroker, type TestBrokerOptions } from '../broker.ts';

/** A broker, and agents on the clusters that a test starts. */
export interface TestEnvironment {
  readonly broker: TestBroker;
  readonly admin: BrokkrClient;
  /** Creates an agent at the broker and returns its key. */
  createAgent(name: string, labels?: readonly string[]): Promise<string>;
  /** Starts an agent on a cluster; it is closed with the environment. */
  startAgent(
    pak: string,
    kubeconfig: string,
    options?: Partial<AgentOptions> & { readonly config?: Partial<Config> },
  ): Promise<RunningAgent>;
  /** Creates a stack with these labels unless it exists, and submits objects. */
  submit(stack: string, objects: readonly object[] | string, labels?: readonly string[]): Promise<void>;
  /** Returns the stack's placement on the agent, if there is one. */
  placement(stack: string, agent: string): Promise<Placement | undefined>;
  /** Waits until the placement of the current revision is in this phase, and returns it. */
  untilPhase(stack: string, agent: string, phase: PlacementPhase, waitMs?: number): Promise<Placement>;
  /** Waits until the agent has no placement of the stack. */
  untilRemoved(stack: string, agent: string): Promise<void>;
  /** Log lines of the agents, as JSON. */
  readonly logLines: string[];
  close(): Promise<void>;
}

const deadlineMs = 60_000;

export async function openEnvironment(options: TestBrokerOptions = {}): Promise<TestEnvironment> {
  const broker = await startTestBroker(options);
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-environment-'));
  const logLines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line) => void logLines.push(line) });
  const admin = broker.client();
  const agents: RunningAgent[] = [];
  let count = 0;

  return {
    broker,
    admin,
    logLines,
    async createAgent(name, labels = [name]) {
      return (await admin.admin.createAgent({ name, labels: [...labels] })).pak;
    },
    async startAgent(pak, kubeconfig, { config, ...more } = {}) {
      const kubeconfigFile = join(folder, `kubeconfig-${++count}`);
      writeFileSync(kubeconfigFile, kubeconfig, { mode: 0o600 });
      const defaults = readConfig({ BROKKR_BROKER_URL: broker.url, BROKKR_PAK: pak, KUBECONFIG: kubeconfigFile });
      const healthListen = { host: '127.0.0.1', port: 0 };
      const retry = { baseMs: 50, maxMs: 500 };
      const agent = await startAgent({ ...defaults, healthListen, ...config }, { log, retry, ...more });
      agents.push(agent);
      return agent;
    },
    async submit(stack, objects, labels = []) {
      const { stacks } = await admin.broker.listStacks({});
      if (!stacks.some(({ name }) => name === stack))
        await admin.broker.createStack({ name: stack, labels: [...labels] });
      const text =
        typeof objects === 'string' ? objects : objects.map((object) => `${JSON.stringify(object)}\n`).join('---\n');
      await admin.broker.submitDeployment({ stack, manifest: Buffer.from(text), allowEmpty: text === '' });
    },
    ...placementWaits(admin),
    async close() {
      await Promise.all(agents.map((agent) => agent.close()));
      await broker.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

function placementWaits(admin: BrokkrClient): Pick<TestEnvironment, 'placement' | 'untilPhase' | 'untilRemoved'> {
  const placement = async (stack: string, agent: string) =>
    (await admin.broker.listPlacements({ stack, agent })).placements[0];
  return {
    placement,
    async untilPhase(stack, agent, phase, waitMs) {
      let last: Placement | undefined;
      await until(
        async () => {
          last = await placement(stack, agent);
          return last?.phase === phase;
        },
        () => `${stack} on ${agent} to be in phase ${phase}; it is in ${last?.phase}: ${last?.message}`,
        waitMs,
      );
      return last!;
    },
    untilRemoved: (stack, agent) =>
      until(
        async () => {
          const { placements } = await admin.broker.listPlacements({ agent, pageSize: 500 });
          return !placements.some((other) => other.stack.endsWith(`/${stack}`));
        },
        () => `${agent} to have nothing of ${stack}`,
      ),
  };
}

/** Connects to a cluster as another client would, to read it. */
export function connectObserver(kubeconfig: string): {
  get(id: ObjectId): Promise<KubeObject | undefined>;
  list(apiVersion: string, kind: string): Promise<KubeObject[]>;
  /** Returns the API server's error for a dry run of an apply; empty when it would accept the object. */
  dryRunError(object: KubeObject): Promise<string>;
  close(): void;
} {
  const cluster = connectCluster(
    { text: kubeconfig },
    { timeoutMs: 30_000, concurrency: 8, userAgent: 'observer', observe: () => {} },
  );
  const { signal } = new AbortController();
  return {
    get: (id) => cluster.get(id, signal),
    list: (apiVersion, kind) => cluster.list({ apiVersion, kind }, { namespace: '' }, signal),
    async dryRunError(object) {
      const resource = await cluster.discovery.find(object.apiVersion, object.kind, signal);
      assert.ok(resource, `the cluster serves no ${object.kind}`);
      return cluster.apply(object, resource, { dryRun: true, force: true }, signal).then(
        () => '',
        (error: Error) => error.message,
      );
    },
    close: cluster.close,
  };
}

export async function until(
  isDone: () => Promise<boolean> | boolean,
  what: () => string,
  waitMs = deadlineMs,
): Promise<void> {
  const end = Date.now() + waitMs;
  while (!(await isDone())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what()}`);
    await delay(20);
  }
}
