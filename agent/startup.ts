import type { Logger } from 'pino';
import type { BrokerClient, Identity } from './broker/client.ts';
import { enroll } from './broker/enroll.ts';
import { obtainKey } from './broker/enrollment.ts';
import { defaultBackoff, jittered, pause, retryMs } from './concurrency/backoff.ts';
import type { AgentContext } from './context.ts';
import { createInventories } from './inventory/inventory.ts';
import { errorMessage } from './kube/api-error.ts';
import { ensureNamespace, readClusterId } from './kube/cluster-identity.ts';
import type { LoadedInventories } from './stack-parts.ts';

export interface Prepared extends LoadedInventories {
  readonly identity: Identity;
}

const probeMs = 15_000;

/**
 * Does what has to be done before the agent can speak with its broker: prepares the namespace, wins the election, obtains the key and
 * reads the inventories, each for as long as it takes. Undefined when the agent ends before.
 */
export async function prepare(context: AgentContext): Promise<Prepared | undefined> {
  const { connections, config, connectivity, signal } = context;
  const { cluster } = connections;
  const identity = await identify(context);
  if (!identity || !(await lead(context))) return undefined;
  connections.pak ??= await retrying(context, 'there is no key yet', connectivity.brokerFailed, () => {
    const { brokerUrl, tls, namespace, enrollment } = config;
    const address = { url: brokerUrl, ...tls };
    return obtainKey({ cluster, namespace, enrollment, enroll: (...call) => enroll(address, ...call) }, signal);
  });
  if (connections.pak === undefined) return undefined;
  const inventories = createInventories(cluster, config.namespace);
  const loaded = await retrying(context, 'the inventory cannot be read', connectivity.clusterFailed, () =>
    inventories.loadAll(signal),
  );
  return loaded && { identity, inventories, loaded };
}

/** Prepares the inventory's namespace, and reads what the broker is told of the cluster. */
function identify(context: AgentContext): Promise<Identity | undefined> {
  const { connections, config, version, connectivity, signal } = context;
  return retrying(context, 'the cluster is not ready', connectivity.clusterFailed, async () => {
    const { cluster } = connections;
    await ensureNamespace(cluster, config.namespace, signal);
    const kubernetesVersion = await timedVersion(context);
    return { clusterId: await readClusterId(cluster, config.namespace, signal), version, kubernetesVersion };
  });
}

/** Waits until this agent leads, and has it end when it cannot go on leading. False when the agent ends before. */
async function lead({ election, lifecycle, options: { log }, signal }: AgentContext): Promise<boolean> {
  if (!election) return true;
  log.info({}, 'waiting for the lease');
  if (!(await election.acquire(signal))) return false;
  log.info({ holder: election.leader }, 'this agent leads');
  void election.holdLease(signal).then((how) => how === 'lost' && lifecycle.deposed());
  return true;
}

/** Sends the cluster a small request now and then, which shows whether it answers and how fast. */
export async function probe(context: AgentContext): Promise<void> {
  const { signal } = context;
  while (!signal.aborted) {
    await pause(probeMs, signal);
    // Each request notes by itself whether it was answered.
    if (!signal.aborted) await timedVersion(context).catch(() => {});
  }
}

/** Registers with each generator of the configuration, for as long as it takes. */
export async function registerGenerators(
  { config: { generators }, options: { log }, signal }: AgentContext,
  broker: BrokerClient,
): Promise<void> {
  for (const generator of generators) {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const state = await broker.register(generator, signal);
        log.info({ generator, state }, 'registered with a generator');
        break;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ generator, reason: errorMessage(error) }, 'cannot register with a generator');
        await pause(defaultBackoff.baseMs + jittered(defaultBackoff, failures), signal);
      }
    }
  }
}

async function timedVersion({ connections, connectivity, signal }: AgentContext): Promise<string> {
  const startedAt = performance.now();
  const version = await connections.cluster.version(signal);
  connectivity.clusterTook(performance.now() - startedAt);
  return version;
}

/** Tries until it works; undefined when the agent ends before. */
async function retrying<Result>(
  { options: { log }, signal }: { readonly options: { readonly log: Logger }; readonly signal: AbortSignal },
  problem: string,
  failed: (reason: string) => void,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      const reason = errorMessage(error);
      failed(reason);
      log.warn({ reason }, problem);
      await pause(retryMs(defaultBackoff, failures), signal);
    }
  }
  return undefined;
}
