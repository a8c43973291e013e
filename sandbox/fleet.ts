import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { type RunningAgent, startAgent } from '../agent/agent.ts';
import { type Config, readConfig } from '../agent/config.ts';
import { type BrokkrClient, connectBroker } from '../client/client.ts';
import { type ClusterOptions, type SimulatedCluster, startSimulatedCluster } from './cluster/cluster.ts';

/** Storage for what agents need after a restart. */
export interface AgentKeys {
  /** Written to an annotation of each created agent, so that a key lost before it was stored can be rotated. */
  readonly owner: string;
  find(name: string): AgentKey | undefined;
  store(name: string, agent: AgentKey): void;
}

export interface AgentKey {
  readonly id: string;
  readonly pak: string;
}

export interface FleetOptions {
  readonly brokerUrl: string;
  readonly adminPak: string;
  /** Number of agents, named `prefix-1` to `prefix-count`, each with a simulated cluster. */
  readonly count: number;
  /** Default `agent`. */
  readonly prefix?: string;
  /** Labels of every agent. */
  readonly labels?: readonly string[];
  /** Folder for the clusters, their kubeconfigs and the agents' caches. */
  readonly dataDir: string;
  /** True if the clusters outlive the process; default false. */
  readonly persistent?: boolean;
  /** By default the keys end with the process. */
  readonly keys?: AgentKeys;
  readonly log: Logger;
  /** Overrides of the agents' configuration, which otherwise has a free health port on loopback. */
  readonly config?: Partial<Config>;
  /** Overrides of the clusters' options; by default a cluster creates no pods. */
  readonly cluster?: ClusterOptions;
  readonly signal?: AbortSignal;
}

export interface Fleet {
  readonly members: readonly Member[];
  close(): Promise<void>;
}

/** One agent with its cluster. */
export interface Member {
  readonly name: string;
  readonly id: string;
  readonly agent: RunningAgent;
  /** Undefined when the agent works on a real cluster. */
  readonly cluster: SimulatedCluster | undefined;
  readonly kubeconfigFile: string;
  close(): Promise<void>;
}

/** Fast enough, and few enough to leave the broker capacity for others. */
const CONCURRENCY = 16;
/** Annotation that names the owner of an agent created here. */
const OWNER_ANNOTATION = 'brokkr.io/sandbox';

/** Starts agents in this process, each on a simulated cluster of its own. Rejects with nothing left running. */
export async function startFleet(options: FleetOptions): Promise<Fleet> {
  const { count, prefix = 'agent', keys = createMemoryKeys() } = options;
  const client = connectBroker({ url: options.brokerUrl, pak: options.adminPak });
  const members: Member[] = [];
  const close = async () => void (await Promise.all(members.map((member) => member.close())));
  const names = Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
  const work = async () => {
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      options.signal?.throwIfAborted();
      const key = await ensureAgent(client, name, options.labels ?? [], keys);
      members.push(await startMember(name, key, options));
    }
  };
  try {
    const outcomes = await Promise.allSettled(Array.from({ length: CONCURRENCY }, work));
    const failed = outcomes.find((outcome) => outcome.status === 'rejected');
    if (failed) throw failed.reason;
  } catch (error) {
    await close();
    throw error;
  } finally {
    client.close();
  }
  members.sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
  return { members, close };
}

async function startMember(name: string, key: AgentKey, options: FleetOptions): Promise<Member> {
  const { dataDir, persistent = false } = options;
  const clusters = join(dataDir, 'clusters');
  mkdirSync(clusters, { recursive: true, mode: 0o700 });
  // The name contains the agent's id: an agent of the same name in another installation must not find these objects.
  const file = join(clusters, `${name}-${key.id.slice(-12)}`);
  const cluster = await startSimulatedCluster({
    pods: false,
    ...(persistent && { dataFile: `${file}.json` }),
    ...options.cluster,
  });
  try {
    const kubeconfigFile = join(clusters, `${name}.kubeconfig`);
    writeFileSync(kubeconfigFile, cluster.kubeconfig, { mode: 0o600 });
    const agent = await startAgentFor(key, { ...options, kubeconfigFile, stateDir: join(dataDir, 'agents', name) });
    const close = async () => {
      await agent.close();
      await cluster.stop();
    };
    return { name, id: key.id, agent, cluster, kubeconfigFile, close };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

export interface RealClusterOptions extends Pick<FleetOptions, 'brokerUrl' | 'log' | 'config'> {
  readonly kubeconfigFile: string;
  readonly kubeContext?: string;
  readonly stateDir: string;
}

/** Starts one agent on an existing cluster. */
export async function startAgentFor({ pak }: AgentKey, options: RealClusterOptions): Promise<RunningAgent> {
  const { brokerUrl, kubeconfigFile, kubeContext, stateDir, log } = options;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  const config: Config = {
    ...readConfig({ BROKKR_BROKER_URL: brokerUrl, BROKKR_PAK: pak, BROKKR_ALLOW_CLEARTEXT: 'true' }),
    healthListen: { host: '127.0.0.1', port: 0 },
    kubeconfigFile,
    kubeContext,
    stateDir,
    ...options.config,
  };
  return startAgent(config, { log });
}

/** Returns the stored key of an agent, or creates the agent. Throws when somebody else owns an agent of that name. */
export async function ensureAgent(
  { admin }: BrokkrClient,
  name: string,
  labels: readonly string[],
  keys: AgentKeys,
): Promise<AgentKey> {
  const existing = await admin.getAgent({ agent: name }).catch(ignoreNotFound);
  const stored = keys.find(name);
  let key: AgentKey;
  if (!existing?.agent) {
    const { agent, pak } = await admin.createAgent({
      name,
      labels: [...labels],
      annotations: { [OWNER_ANNOTATION]: keys.owner },
    });
    key = { id: agent?.id ?? '', pak };
  } else if (stored?.id === existing.agent.id) return stored;
  else if (existing.agent.annotations[OWNER_ANNOTATION] === keys.owner) {
    // The process ended after it had created the agent and before it stored the key.
    const { pak } = await admin.rotateAgentPak({ agent: name, overlap: { seconds: 0n } });
    key = { id: existing.agent.id, pak };
  } else throw new Error(`the broker has an agent "${name}" that was not made here: delete it, or use its data folder`);
  keys.store(name, key);
  return key;
}

function ignoreNotFound(error: unknown): undefined {
  if (ConnectError.from(error).code !== Code.NotFound) throw error;
}

function createMemoryKeys(): AgentKeys {
  const stored = new Map<string, AgentKey>();
  return {
    owner: randomUUID(),
    find: (name) => stored.get(name),
    store: (name, agent) => void stored.set(name, agent),
  };
}
