import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import pino from 'pino';
import { createCensus } from './census.ts';
import { connectCluster, type KubeSource } from './cluster.ts';
import type { StackEvent } from './event.ts';
import { ensureNamespace } from './identity.ts';
import { createInventories } from './inventory.ts';
import type { KubeObject } from './object.ts';
import { createOwnership } from './ownership.ts';
import { createReconciler, type Reconciler } from './reconciler.ts';
import type { Entry } from './target.ts';

/** For tests: the agent without a broker, told target states as plain values. */
export interface Core {
  readonly reconciler: Reconciler;
  /** All reports so far, oldest first. */
  readonly events: StackEvent[];
  /** Makes these the whole target state, and their manifests available. */
  tell(wishes: readonly Wish[], more?: { epoch?: bigint; paused?: boolean }): void;
  /** The next report about a stack, after those that were there at the call. */
  next(stackId: string, outcome?: StackEvent['outcome']): Promise<StackEvent>;
  /** Waits until no pass is due. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export type Wish = Partial<Omit<Entry, 'stackId'>> & {
  readonly stackId: string;
  readonly objects?: readonly KubeObject[];
};

export interface CoreOptions {
  readonly maxDeletions?: number;
  readonly watchNamespace?: string;
  readonly namespace?: string;
  readonly retry?: { baseMs: number; maxMs: number };
  readonly resyncMs?: number;
}

/** Long enough for the slowest machine; nothing waits for it when all is well. */
const deadlineMs = 60_000;

/** An id like the broker's, the same for the same name. */
export function stackId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A manifest as the broker stores it. */
export function manifestOf(objects: readonly KubeObject[]): { data: Buffer; checksum: string } {
  const data = Buffer.from(objects.map((object) => `${JSON.stringify(object)}\n`).join(''));
  return { data, checksum: createHash('sha256').update(data).digest('hex') };
}

export function configMap(name: string, data: Record<string, string>, namespace?: string): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, ...(namespace && { namespace }) }, data };
}

export async function startCore(source: KubeSource, options: CoreOptions = {}): Promise<Core> {
  const { namespace = 'brokkr', watchNamespace, maxDeletions = 50 } = options;
  const ending = new AbortController();
  const log = pino({ level: process.env.AGENT_TEST_LOG ?? 'silent' });
  const cluster = connectCluster(source, {
    timeoutMs: 10_000,
    concurrency: 32,
    userAgent: 'brokkr-agent/test',
    observe: () => {},
  });
  await ensureNamespace(cluster, namespace, ending.signal);
  const inventories = createInventories(cluster, namespace);
  const manifests = new Map<string, Buffer>();
  const events: StackEvent[] = [];
  const reconciler = createReconciler({
    shop: {
      cluster,
      inventories,
      ownership: createOwnership(),
      census: createCensus(cluster, watchNamespace, ending.signal),
      scope: { defaultNamespace: watchNamespace ?? 'default', watchNamespace },
      maxDeletions,
      readManifest: async (checksum) => manifests.get(checksum),
    },
    inventories: await inventories.loadAll(ending.signal),
    report: (event) => events.push(event),
    observePass: () => {},
    log,
    retry: options.retry ?? { baseMs: 20, maxMs: 100 },
    resyncMs: options.resyncMs ?? 600_000,
  });
  return {
    reconciler,
    events,
    tell(wishes, { epoch = 1n, paused = false } = {}) {
      const entries = wishes.map(({ objects, ...wish }) => {
        const { data, checksum } = objects ? manifestOf(objects) : { data: Buffer.alloc(0), checksum: '' };
        if (objects) manifests.set(checksum, data);
        return { ...blank, stack: wish.stackId.slice(0, 8), ...wish, checksum, size: data.length };
      });
      reconciler.accept({ epoch, paused, entries });
    },
    async next(stack, outcome) {
      const from = events.length;
      const found = () =>
        events
          .slice(from)
          .find((event) => event.stackId === stack && (outcome === undefined || event.outcome === outcome));
      await until(() => found() !== undefined, `a report ${outcome ?? ''} about ${stack}`);
      return found()!;
    },
    settled: () => until(() => reconciler.counts.unsettled === 0, 'all stacks to be settled'),
    async close() {
      await reconciler.close(0);
      ending.abort();
      cluster.close();
    },
  };
}

/** Waits for something; rejects, naming it, when it does not come. */
export async function until(
  isDone: () => boolean | Promise<boolean>,
  what: string,
  waitMs = deadlineMs,
): Promise<void> {
  const end = Date.now() + waitMs;
  while (!(await isDone())) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await delay(10);
  }
}

const blank: Omit<Entry, 'stackId'> = {
  stack: '',
  generator: 'ci',
  deploymentId: '',
  revision: 1,
  order: 1n,
  state: 'active',
  generation: 1n,
  checksum: '',
  size: 0,
  onDelete: 'prune',
  held: false,
  confirmed: false,
  kinds: [],
  reason: '',
};
