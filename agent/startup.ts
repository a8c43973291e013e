import type { Logger } from 'pino';
import type { Identity, Wire } from './broker/client.ts';
import { jittered, pause, retryMs, usualRetry } from './concurrency/backoff.ts';
import type { Config } from './config.ts';
import { errorMessage } from './kube/api-error.ts';
import type { Cluster } from './kube/cluster.ts';
import { ensureNamespace, readClusterId } from './kube/cluster-identity.ts';
import type { Connectivity } from './observability/connectivity.ts';

const probeMs = 15_000;

/** Asks the cluster for a sign of life now and then, with a small request, and notes how long that takes. */
export async function probe(cluster: Cluster, connectivity: Connectivity, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await pause(probeMs, signal);
    // Whether it answers is noted with each request.
    if (!signal.aborted) await timed(cluster, connectivity, signal).catch(() => {});
  }
}

/** Registers with each generator, however long that takes. */
export async function consent(
  wire: Wire,
  generators: readonly string[],
  log: Logger,
  signal: AbortSignal,
): Promise<void> {
  for (const generator of generators) {
    for (let failures = 0; !signal.aborted; failures++) {
      try {
        const state = await wire.register(generator, signal);
        log.info({ generator, state }, 'registered with a generator');
        break;
      } catch (error) {
        if (signal.aborted) return;
        log.warn({ generator, reason: errorMessage(error) }, 'cannot register with a generator');
        await pause(usualRetry.baseMs + jittered(usualRetry, failures), signal);
      }
    }
  }
}

/** Prepares the inventory's namespace, and reads what the broker wants to know of the cluster. */
export async function identify(
  cluster: Cluster,
  { namespace }: Config,
  version: string,
  connectivity: Connectivity,
  signal: AbortSignal,
): Promise<Identity> {
  await ensureNamespace(cluster, namespace, signal);
  const kubernetesVersion = await timed(cluster, connectivity, signal);
  return { clusterId: await readClusterId(cluster, namespace, signal), version, kubernetesVersion };
}

async function timed(cluster: Cluster, connectivity: Connectivity, signal: AbortSignal): Promise<string> {
  const startedAt = performance.now();
  const version = await cluster.version(signal);
  connectivity.clusterTook(performance.now() - startedAt);
  return version;
}

/** Tries until it works; undefined when the signal aborts before. */
export async function untilDone<Result>(
  signal: AbortSignal,
  log: Logger,
  problem: string,
  tell: (reason: string) => void,
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) return undefined;
      tell(errorMessage(error));
      log.warn({ reason: errorMessage(error) }, problem);
      await pause(retryMs(usualRetry, failures), signal);
    }
  }
  return undefined;
}
