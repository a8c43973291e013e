import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { createKeys } from './access/keys.ts';
import { createHeartbeats } from './agent/heartbeats.ts';
import { createDenials } from './audit/denials.ts';
import { startSealer } from './audit/seal.ts';
import type { Own } from './cleanup.ts';
import { createParser } from './deployment/parser.ts';
import { createDiagnosticNotifier } from './diagnostic/notifier.ts';
import { createReportGroups } from './event/report-group.ts';
import { createFleetCache } from './fleet/fleet-cache.ts';
import { startJobs } from './jobs/jobs.ts';
import type { LiveConfig } from './reload.ts';
import { createConcurrencyLimiter } from './rpc/admission/concurrency-limiter.ts';
import { callMetrics } from './rpc/interceptors/metrics.ts';
import type { Database } from './store/database.ts';
import type { Feed } from './store/feed.ts';
import { createTargetStates } from './target/cache.ts';
import { createIntake } from './telemetry/intake.ts';

export interface PartOptions {
  readonly db: Database;
  readonly feed: Feed;
  readonly log: Logger;
  readonly metrics: Registry;
  readonly live: LiveConfig;
}

/** The parts of a broker that live as long as it does, besides the database and the ports. */
export type Parts = ReturnType<typeof startParts>;

/** Starts the parts; `own` closes them. */
export function startParts({ db, feed, log, metrics, live }: PartOptions, own: Own) {
  const { workers, telemetryRetentionMs } = live.config;
  const calls = callMetrics(metrics);
  const now = () => new Date();
  return {
    now,
    calls,
    limiter: createConcurrencyLimiter(() => live.config.limits),
    keys: own('keys', createKeys(db, feed, log, now, calls.authFailed)),
    reportGroups: own('reportGroups', createReportGroups(db)),
    heartbeats: own('heartbeats', createHeartbeats(db, log)),
    parser: own('parser', createParser(workers)),
    targets: own('targets', createTargetStates(db, feed, log)),
    diagnosticNotifier: own('diagnosticNotifier', createDiagnosticNotifier(feed)),
    fleetCache: own('fleetCache', createFleetCache(db, feed, log)),
    denials: own('denials', createDenials(db, log, Date.now)),
    sealer: own('sealer', startSealer(db, log)),
    intake: own('intake', createIntake(db, feed, log, metrics)),
    jobs: own('jobs', startJobs(db, log, { telemetryMs: telemetryRetentionMs })),
  };
}
