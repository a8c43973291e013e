import type { Logger } from 'pino';
import { createAuditDays, dropAuditDays } from '../audit/retention.ts';
import { purgeManifests } from '../deployment/store.ts';
import { dropExpired } from '../diagnostic/store.ts';
import { dropOldEvents, eventDays, makeEventPartitions } from '../event/partition-store.ts';
import { purgeGenerators } from '../generator/store.ts';
import { dropOldHealth } from '../health/store.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { agentBatches, misplacedAgents } from '../placement/repair-store.ts';
import { purgeStacks } from '../stack/store.ts';
import { announce } from '../store/feed.ts';
import type { Database } from '../store/orm.ts';
import { deleteOldChanges, deleteOldRequests } from '../store/retention.ts';
import { dropOldTelemetry, dropOrphanedTelemetry, makeTelemetrySlices } from '../telemetry/partition-store.ts';

/** Something done again and again by one of the brokers: idempotent, without input, safe to do twice. */
interface Job {
  readonly name: string;
  readonly everyMs: number;
  run(db: Database, keep: Keep): Promise<number>;
}

/** How long what can be configured is kept. */
export interface Keep {
  readonly telemetryMs: number;
}

export interface Jobs {
  /** How often each job changed something, since the start. */
  readonly counts: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

const minuteMs = 60_000;
const manifestsAtOnce = 100;

export const jobs: readonly Job[] = [
  { name: 'event_partitions', everyMs: 60 * minuteMs, run: makeEventPartitions },
  { name: 'audit_days', everyMs: 60 * minuteMs, run: createAuditDays },
  { name: 'audit_retention', everyMs: 60 * minuteMs, run: (db) => dropAuditDays(db) },
  { name: 'event_retention', everyMs: 60 * minuteMs, run: dropOldEvents },
  { name: 'health_retention', everyMs: 60 * minuteMs, run: (db) => dropOldHealth(db, eventDays) },
  { name: 'telemetry_slices', everyMs: 60 * minuteMs, run: makeTelemetrySlices },
  { name: 'telemetry_retention', everyMs: minuteMs, run: (db, { telemetryMs }) => dropOldTelemetry(db, telemetryMs) },
  { name: 'telemetry_orphans', everyMs: minuteMs, run: dropOrphanedTelemetry },
  { name: 'diagnostic_expiry', everyMs: minuteMs, run: dropExpired },
  { name: 'stack_purge', everyMs: minuteMs, run: (db) => db.transact(purgeStacks) },
  { name: 'manifest_purge', everyMs: 60 * minuteMs, run: purgeAllManifests },
  { name: 'generator_purge', everyMs: minuteMs, run: (db) => db.transact(purgeGenerators) },
  { name: 'change_retention', everyMs: 10 * minuteMs, run: deleteOldChanges },
  { name: 'request_retention', everyMs: 10 * minuteMs, run: deleteOldRequests },
  { name: 'placement_repair', everyMs: 10 * minuteMs, run: repairPlacements },
];

/** Runs every job at once, and then at its interval (jittered), until closed. A failure is logged and tried at the next turn. */
export function startJobs(db: Database, log: Logger, keep: Keep): Jobs {
  const counts = new Map<string, number>(jobs.map((job) => [job.name, 0]));
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<void>>();
  let closed = false;
  const turn = async (job: Job) => {
    try {
      const changed = await job.run(db, keep);
      counts.set(job.name, (counts.get(job.name) ?? 0) + changed);
      if (changed > 0 && job.name === 'placement_repair')
        log.error({ changed }, 'placements differed from the rules and were repaired');
    } catch (error) {
      if (!closed) log.warn({ job: job.name, err: String(error) }, 'a job failed and will be tried again');
    }
    if (!closed)
      timers.set(
        job.name,
        setTimeout(() => start(job), job.everyMs * (0.9 + 0.2 * Math.random())),
      );
  };
  const start = (job: Job) => {
    const done = turn(job).finally(() => running.delete(done));
    running.add(done);
  };
  for (const job of jobs) start(job);
  return {
    counts,
    async close() {
      closed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.allSettled(running);
    },
  };
}

/** In portions, so that no transaction holds many locks. */
async function purgeAllManifests(db: Database): Promise<number> {
  for (let purged = 0; ; ) {
    const count = await db.transact((tx) => purgeManifests(tx, manifestsAtOnce));
    purged += count;
    if (count < manifestsAtOnce) return purged;
  }
}

/** Compares placements with the rules and makes them so. Must find nothing: what it finds is a defect, and is counted. */
async function repairPlacements(db: Database): Promise<number> {
  let changed = 0;
  for await (const agentIds of agentBatches(db)) {
    for (const agentId of await misplacedAgents(db, agentIds)) {
      changed += await db.transact(async (tx) => {
        await lockAgentSide(tx, agentId);
        const count = await updatePlacements(tx, { agents: [agentId], stacks: null }, 'repaired');
        if (count > 0) await announce(tx, 'agent', [agentId]);
        return count;
      });
    }
  }
  return changed;
}
