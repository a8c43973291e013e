import type { Logger } from 'pino';
import { createAuditDays, dropAuditDays } from '../audit/retention.ts';
import { purgeManifests } from '../deployment/store.ts';
import { deleteExpiredDiagnostics } from '../diagnostic/store.ts';
import { createEventPartitions, dropOldEvents, eventDays } from '../event/partition-store.ts';
import { purgeGenerators } from '../generator/store.ts';
import { deleteOldHealth } from '../health/store.ts';
import { lockAgentSide } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { agentBatches, misplacedAgents } from '../placement/repair-store.ts';
import { purgeStacks } from '../stack/store.ts';
import type { Database } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { deleteOldChanges, deleteOldRequests } from '../store/retention.ts';
import { createTelemetryPartitions, deleteOrphanedTelemetry, dropOldTelemetry } from '../telemetry/partition-store.ts';

/** Work that every broker repeats: idempotent, without input, safe to run on two brokers at the same time. */
interface Job {
  readonly name: string;
  readonly everyMs: number;
  /** Returns how many rows or partitions it changed. */
  run(db: Database, retention: Retention): Promise<number>;
}

/** The retention times that can be configured. */
export interface Retention {
  readonly telemetryMs: number;
}

export interface Jobs {
  /** Number of changes of each job since the start. */
  readonly counts: ReadonlyMap<string, number>;
  close(): Promise<void>;
}

const minuteMs = 60_000;
const manifestsPerPurge = 100;

export const jobs: readonly Job[] = [
  { name: 'event_partitions', everyMs: 60 * minuteMs, run: createEventPartitions },
  { name: 'audit_days', everyMs: 60 * minuteMs, run: createAuditDays },
  { name: 'audit_retention', everyMs: 60 * minuteMs, run: (db) => dropAuditDays(db) },
  { name: 'event_retention', everyMs: 60 * minuteMs, run: dropOldEvents },
  { name: 'health_retention', everyMs: 60 * minuteMs, run: (db) => deleteOldHealth(db, eventDays) },
  { name: 'telemetry_slices', everyMs: 60 * minuteMs, run: createTelemetryPartitions },
  { name: 'telemetry_retention', everyMs: minuteMs, run: (db, { telemetryMs }) => dropOldTelemetry(db, telemetryMs) },
  { name: 'telemetry_orphans', everyMs: minuteMs, run: deleteOrphanedTelemetry },
  { name: 'diagnostic_expiry', everyMs: minuteMs, run: deleteExpiredDiagnostics },
  { name: 'stack_purge', everyMs: minuteMs, run: (db) => db.transact(purgeStacks) },
  { name: 'manifest_purge', everyMs: 60 * minuteMs, run: purgeAllManifests },
  { name: 'generator_purge', everyMs: minuteMs, run: (db) => db.transact(purgeGenerators) },
  { name: 'change_retention', everyMs: 10 * minuteMs, run: deleteOldChanges },
  { name: 'request_retention', everyMs: 10 * minuteMs, run: deleteOldRequests },
  { name: 'placement_repair', everyMs: 10 * minuteMs, run: repairPlacements },
];

/** Runs every job at once, and then at its interval with jitter, until closed. A failed job is logged and runs again at its next turn. */
export function startJobs(db: Database, log: Logger, retention: Retention): Jobs {
  const counts = new Map<string, number>(jobs.map((job) => [job.name, 0]));
  const timers = new Map<string, NodeJS.Timeout>();
  const running = new Set<Promise<void>>();
  let isClosed = false;
  const runOnce = async (job: Job) => {
    try {
      const changed = await job.run(db, retention);
      counts.set(job.name, (counts.get(job.name) ?? 0) + changed);
      if (changed > 0 && job.name === 'placement_repair')
        log.error({ changed }, 'placements differed from the rules and were repaired');
    } catch (error) {
      if (!isClosed) log.warn({ job: job.name, err: String(error) }, 'a job failed and will be tried again');
    }
    if (!isClosed)
      timers.set(
        job.name,
        setTimeout(() => start(job), job.everyMs * (0.9 + 0.2 * Math.random())),
      );
  };
  const start = (job: Job) => {
    const run = runOnce(job).finally(() => running.delete(run));
    running.add(run);
  };
  for (const job of jobs) start(job);
  return {
    counts,
    async close() {
      isClosed = true;
      for (const timer of timers.values()) clearTimeout(timer);
      await Promise.allSettled(running);
    },
  };
}

/** Purges manifests in portions, so that no transaction holds many locks. */
async function purgeAllManifests(db: Database): Promise<number> {
  for (let purged = 0; ; ) {
    const count = await db.transact((tx) => purgeManifests(tx, manifestsPerPurge));
    purged += count;
    if (count < manifestsPerPurge) return purged;
  }
}

/** Compares all placements with the rules and repairs those that differ. Each repair is the consequence of a defect. */
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
