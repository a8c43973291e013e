import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { HOST } from '../host.ts';
import { runBudgetController } from './controllers/budgets.ts';
import { runCustomResources } from './controllers/custom.ts';
import { runFinishedJobsController } from './controllers/finished-jobs.ts';
import { runGarbageCollector } from './controllers/garbage.ts';
import { createInitialNamespaces, runNamespaceController } from './controllers/namespace.ts';
import { runServiceController } from './controllers/service.ts';
import { runWorkloadControllers } from './controllers/workload.ts';
import { createCore } from './core/core.ts';
import { type JsonObject, type KubeObject, objectAt, textAt } from './core/object.ts';
import { loadSnapshot, saveOnChange } from './core/snapshot.ts';
import { createLogs } from './http/logs.ts';
import { createRequests, type FaultRule, type RequestHandler, type RequestRecord } from './http/requests.ts';
import type { Rights } from './http/rights.ts';
import { createApiServer } from './http/server.ts';
import { mergePatch } from './write/patch.ts';
import { toVersion } from './write/persist.ts';
import { removeObject } from './write/remove.ts';
import { createObject, patchObject } from './write/write.ts';

export interface ClusterOptions {
  /** Default: any free port. */
  readonly port?: number;
  /** JSON file that preserves the cluster across restarts. By default the cluster ends with the process. */
  readonly dataFile?: string;
  /** Milliseconds until workloads become ready; default 50. */
  readonly readyDelayMs?: number;
  /** Milliseconds until a new definition is served; default 20. */
  readonly establishMs?: number;
  /** True if workloads create pods, at most three each; default true. */
  readonly pods?: boolean;
  /** Milliseconds between the lines that each container writes by itself; 0 for none. Default 1,000. */
  readonly lineEveryMs?: number;
  /** Minimum number of past events that a watch can start from; default 1,000. */
  readonly historySize?: number;
  /** Limits every client to some namespaces, and to impersonating some accounts. By default everything is allowed. */
  readonly rights?: Rights;
  /** Stops the cluster when aborted. */
  readonly signal?: AbortSignal;
}

export interface SimulatedCluster {
  readonly url: string;
  readonly port: number;
  /** YAML for a kubeconfig file. */
  readonly kubeconfig: string;
  /** UID of the namespace kube-system, which identifies the cluster. */
  readonly uid: string;
  objects(): KubeObject[];
  get(apiVersion: string, kind: string, namespace: string | undefined, name: string): KubeObject | undefined;
  /** Creates an object, or merges into it, as another manager would; null removes a field. */
  put(object: JsonObject, options?: { readonly manager?: string }): KubeObject;
  /** Deletes an object; does nothing when it does not exist. */
  remove(apiVersion: string, kind: string, namespace: string | undefined, name: string): void;
  /** Appends lines to a container's log. */
  write(namespace: string, pod: string, container: string, lines: readonly string[]): void;
  /** The last requests, oldest first; at least 5,000. */
  readonly requests: readonly RequestRecord[];
  clearRequests(): void;
  readonly faults: { add(rule: FaultRule): () => void };
  /**
   * Registers a handler that is awaited before each request is processed; it may delay the request or act at that
   * moment.
   */
  onRequest(handler: RequestHandler): () => void;
  stop(): Promise<void>;
  /** Ends at once, connections included, without saving. */
  crash(): void;
}

/**
 * Starts a simulated Kubernetes API server in this process, over real HTTP, with the controllers that matter to a
 * client.
 */
export async function startSimulatedCluster(options: ClusterOptions = {}): Promise<SimulatedCluster> {
  const { dataFile, readyDelayMs = 50, pods = true, historySize = 1_000, rights, signal, lineEveryMs } = options;
  signal?.throwIfAborted();
  const core = createCore(historySize);
  const restored = dataFile !== undefined && loadSnapshot(core, dataFile);
  const save = dataFile === undefined ? () => {} : saveOnChange(core, dataFile);
  runGarbageCollector(core);
  runNamespaceController(core);
  runCustomResources(core, { establishMs: options.establishMs ?? 20 });
  runServiceController(core);
  runBudgetController(core);
  runFinishedJobsController(core);
  runWorkloadControllers(core, { readyDelayMs, pods });
  if (!restored) {
    createInitialNamespaces(core);
    // The cluster's id must survive a crash right after the first request.
    save();
  }
  // Continue deletions that the last run did not finish.
  else
    for (const [resource, object] of [...core.store.all()])
      if (object.metadata.deletionTimestamp) core.store.put(resource, object);

  const requests = createRequests();
  const logs = createLogs(lineEveryMs);
  const server = createApiServer(core, requests, logs, rights);
  server.listen(options.port ?? 0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://${HOST}:${port}`;
  const crash = () => {
    core.stop();
    server.close();
    server.closeAllConnections();
    signal?.removeEventListener('abort', abort);
  };
  const stop = async () => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    crash();
    save();
    await closed;
  };
  const abort = () => void stop();
  signal?.addEventListener('abort', abort, { once: true });

  const kindOf = (apiVersion: string, name: string) => {
    const kind = core.kinds.byKind(apiVersion, name);
    if (!kind) throw new Error(`the simulated cluster serves no ${apiVersion} ${name}`);
    return kind;
  };
  return {
    url,
    port,
    kubeconfig: kubeconfigFor(url),
    uid: core.store.get('/namespaces', undefined, 'kube-system')?.metadata.uid ?? '',
    objects: () => [...core.store.all()].map(([, object]) => object),
    get: (apiVersion, name, namespace, objectName) => {
      const kind = kindOf(apiVersion, name);
      const found = core.store.get(kind.resource, namespace, objectName);
      return found && toVersion(kind, found);
    },
    put: (object, { manager = 'another-manager' } = {}) => {
      const kind = kindOf(textAt(object, 'apiVersion') ?? '', textAt(object, 'kind') ?? '');
      const { name, namespace } = objectAt(object, 'metadata');
      const place = kind.namespaced ? String(namespace ?? 'default') : undefined;
      if (!core.store.get(kind.resource, place, String(name)))
        return createObject(core, kind, object, place, { manager });
      return patchObject(
        core,
        kind,
        place,
        String(name),
        (liveObject) => mergePatch(liveObject, object) as JsonObject,
        {
          manager,
        },
      );
    },
    remove: (apiVersion, name, namespace, objectName) => {
      const kind = kindOf(apiVersion, name);
      if (core.store.get(kind.resource, namespace, objectName)) removeObject(core, kind, namespace, objectName);
    },
    write: logs.write,
    get requests() {
      return requests.records;
    },
    clearRequests: requests.clear,
    faults: { add: requests.addFault },
    onRequest: requests.onRequest,
    stop,
    crash,
  };
}

/** The official Node client refuses plain HTTP unless verification is off. */
function kubeconfigFor(url: string): string {
  return `apiVersion: v1
kind: Config
current-context: simulated
clusters:
  - name: simulated
    cluster: { server: '${url}', insecure-skip-tls-verify: true }
users:
  - name: brokkr
    user: { token: simulated }
contexts:
  - name: simulated
    context: { cluster: simulated, user: brokkr, namespace: default }
`;
}
