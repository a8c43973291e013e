import type { Logger } from 'pino';
import { Registry as Metrics } from 'prom-client';
import { reachableHost } from '../client/settings.ts';
import type { Tracing } from '../client/trace.ts';
import { issueFirstAdminPak } from './access/issue.ts';
import { ownBy } from './cleanup.ts';
import type { Config } from './config.ts';
import { createFigures } from './fleet/figures.ts';
import { registerGauges } from './gauges.ts';
import { createHandlers, type Handlers } from './handler.ts';
import { createMethods } from './methods.ts';
import { openMetricsPort } from './metrics.ts';
import { openStore } from './open-store.ts';
import { startParts } from './parts.ts';
import { closingRefusal } from './refusal.ts';
import { createLiveConfig, type LiveConfig } from './reload.ts';
import { createFairDatabase } from './rpc/admission/fair-database.ts';
import { readCertificates, watchCertificates } from './rpc/http/certificates.ts';
import { connectionLimits } from './rpc/http/connections.ts';
import { builtConsole } from './rpc/http/console.ts';
import { openPort } from './rpc/http/port.ts';
import { requestTimeoutOf } from './rpc/services.ts';

export interface BrokerOptions {
  readonly log: Logger;
  /** Receives the first admin key of a new installation. When it rejects, the broker does not start, and no key is created. */
  readonly deliverAdminPak: (pak: string) => Promise<void>;
  /** Exports the spans of traces; the caller closes it. */
  readonly tracing?: Tracing | undefined;
  /** The folder of the built console; default: that of `npm run console`. */
  readonly consoleFolder?: string;
}

export interface RunningBroker {
  /** `http://127.0.0.1:3000`, or `https://…` with TLS. */
  readonly url: string;
  readonly port: number;
  /** `http://127.0.0.1:9090/metrics` */
  readonly metricsUrl: string;
  /** Applies another configuration, as far as that is possible without a restart. An invalid one is logged and ignored as a whole. */
  reload(read: () => Config): void;
  /** Sends clients of streams elsewhere, lets calls finish for `graceMs` (default 3 s), then ends everything. */
  close(graceMs?: number): Promise<void>;
}

const defaultGraceMs = 3_000;

/**
 * Starts a broker: opens the database, migrates it, starts the parts and listens. Rejects, with nothing left open, when one of these
 * fails; the message says which.
 */
export async function startBroker(config: Config, options: BrokerOptions): Promise<RunningBroker> {
  const { log } = options;
  const stack = new AsyncDisposableStack();
  try {
    const own = ownBy(stack, log);
    const { db, feed } = await openStore(config, log);
    own('db', db);
    own('feed', feed);
    await issueFirstAdminPak(db, options.deliverAdminPak);
    const metrics = new Metrics();
    const live = createLiveConfig(config, log);
    const closing = new AbortController();
    const parts = startParts({ db, feed, log, metrics, live }, own);
    const methods = createMethods({
      ...parts,
      ...{ feed, log, version: config.version, keepMs: config.telemetryRetentionMs, closing: closing.signal },
      db: createFairDatabase(db),
    });
    const handlers = createHandlers({
      ...{ parts, methods, live, log, metrics, ready: feed.available, closing: closing.signal },
      tracing: options.tracing,
      consoleFolder: options.consoleFolder ?? builtConsole,
    });
    const { port, certificates } = await openBrokerPort(handlers, live, log, stack);
    const certificateEndsAt = () => certificates?.expiresAt();
    const { tls, listen, version } = config;
    registerGauges(metrics, { ...parts, db, feed, live, figures: createFigures(db), certificateEndsAt, version });
    const metricsPort = await openMetricsPort(config.metricsListen, metrics);
    stack.defer(() => metricsPort.close());
    const url = `${tls ? 'https' : 'http'}://${reachableHost(listen.host)}:${port.port}`;
    log.info({ url, metricsUrl: metricsPort.url }, 'the broker is ready');
    return {
      url,
      port: port.port,
      metricsUrl: metricsPort.url,
      reload(read) {
        if (live.reload(read)) certificates?.check();
      },
      close: createClose(stack.move(), log, async (graceMs) => {
        closing.abort(closingRefusal());
        await port.close(graceMs);
      }),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Opens the port and, with TLS, watches the certificate files. */
async function openBrokerPort(handlers: Handlers, live: LiveConfig, log: Logger, stack: AsyncDisposableStack) {
  const { tls, listen } = live.config;
  const port = await openPort({
    ...listen,
    ...handlers,
    tls: tls && readCertificates(tls),
    requestTimeoutMs: requestTimeoutOf,
    connectionLimits: () => connectionLimits(live.config.trustedProxies > 0),
  });
  stack.defer(() => port.close(0));
  const certificates = tls && watchCertificates(() => live.config.tls ?? tls, log, port.renew);
  stack.defer(() => certificates?.stop());
  return { port, certificates };
}

/** Closes the port first, then everything else. Later calls return the promise of the first one. */
function createClose(
  stack: AsyncDisposableStack,
  log: Logger,
  closePort: (graceMs: number) => Promise<void>,
): RunningBroker['close'] {
  let closed: Promise<void> | undefined;
  const close = async (graceMs: number) => {
    await closePort(graceMs);
    await stack.disposeAsync();
    log.info('the broker has ended');
  };
  return (graceMs = defaultGraceMs) => {
    closed ??= close(graceMs);
    return closed;
  };
}
