import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import type { Parser } from './deployment/parser.ts';
import type { Figures } from './fleet/figures.ts';
import { agentStates } from './fleet/rules.ts';
import { healths } from './health/rules.ts';
import type { Jobs } from './jobs/jobs.ts';
import { phases } from './placement/rules.ts';
import type { LiveConfig } from './reload.ts';
import type { ConcurrencyLimiter } from './rpc/admission/concurrency-limiter.ts';
import type { Database } from './store/database.ts';
import type { Feed } from './store/feed.ts';

/** What is looked at when somebody scrapes. */
export interface Watched {
  readonly db: Database;
  readonly feed: Feed;
  readonly jobs: Jobs;
  readonly parser: Parser;
  readonly limiter: ConcurrencyLimiter;
  readonly live: LiveConfig;
  readonly figures: () => Promise<Figures | undefined>;
  /** When the broker's certificate ends, in milliseconds since 1970; undefined without TLS. */
  readonly certificateEndsAt: () => number | undefined;
  readonly version: string;
}

/** Registers what is looked up rather than counted: the process, the broker's parts, and the fleet as the database has it. */
export function registerGauges(register: Registry, watched: Watched): void {
  collectDefaultMetrics({ register });
  registerParts(register, watched);
  registerFleet(register, watched.figures);
}

function registerParts(register: Registry, { db, feed, jobs, parser, limiter, live, ...watched }: Watched): void {
  const registers = [register];
  new Gauge({ registers, name: 'brokkr_build_info', help: 'Always 1.', labelNames: ['version'] }).set(
    { version: watched.version },
    1,
  );
  new Gauge({
    registers,
    name: 'brokkr_database_up',
    help: 'Whether the database answered within the last 5 s.',
    collect: value(() => Number(feed.available())),
  });
  new Gauge({
    registers,
    name: 'brokkr_change_feed_healthy',
    help: 'Whether the change feed was read within the last 3 s.',
    collect: value(() => Number(feed.healthy())),
  });
  new Gauge({
    registers,
    name: 'brokkr_change_feed_age_seconds',
    help: 'Since the change feed was last read, which a NOTIFY or a second brings about.',
    collect: value(() => feed.ageMs() / 1000),
  });
  new Counter({
    registers,
    name: 'brokkr_change_feed_losses_total',
    help: 'How often the connection that listens to the change feed was lost.',
    collect() {
      this.reset();
      this.inc(feed.losses());
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_submissions_waiting',
    help: 'Submissions that wait to be read.',
    collect: value(limiter.waitingSubmissions),
  });
  new Gauge({
    registers,
    name: 'brokkr_manifests_waiting',
    help: 'Manifests that wait for a thread that parses them.',
    collect: value(parser.waiting),
  });
  new Gauge({
    registers,
    name: 'brokkr_config_last_reload_successful',
    help: 'Whether the configuration could be used when it was last read.',
    collect: value(() => Number(live.isGood)),
  });
  new Gauge({
    registers,
    name: 'brokkr_config_last_reload_success_timestamp_seconds',
    help: 'When the configuration was last read and used.',
    collect: value(() => live.readAt / 1000),
  });
  new Gauge({
    registers,
    name: 'brokkr_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use ends; without TLS there is none.',
    collect: value(() => {
      const endsAt = watched.certificateEndsAt();
      return endsAt === undefined ? undefined : endsAt / 1000;
    }),
  });
  new Counter({
    registers,
    name: 'brokkr_job_changes_total',
    help: 'Rows that each background job changed since the start; placement_repair must stay 0.',
    labelNames: ['job'],
    collect() {
      this.reset();
      for (const [job, count] of jobs.counts) this.inc({ job }, count);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_database_connections',
    help: 'Connections to the database, by pool and whether they are at work.',
    labelNames: ['pool', 'state'],
    collect() {
      for (const { pool, total, idle } of db.pools()) {
        this.set({ pool, state: 'idle' }, idle);
        this.set({ pool, state: 'busy' }, total - idle);
      }
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_database_connections_max',
    help: 'Connections to the database that there may be, by pool.',
    labelNames: ['pool'],
    collect() {
      for (const { pool, max } of db.pools()) this.set({ pool }, max);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_database_waiting',
    help: 'What waits for a connection to the database, by pool.',
    labelNames: ['pool'],
    collect() {
      for (const { pool, waiting } of db.pools()) this.set({ pool }, waiting);
    },
  });
}

/** While the database does not answer, there are no figures: old ones would tell that all is well. */
function registerFleet(register: Registry, figures: () => Promise<Figures | undefined>): void {
  const registers = [register];
  const one = (read: (figures: Figures) => number) =>
    value(async () => {
      const now = await figures();
      return now && read(now);
    });
  new Gauge({
    registers,
    name: 'brokkr_agents',
    help: 'Agents, by state.',
    labelNames: ['state'],
    async collect() {
      setAll(this, 'state', agentStates, (await figures())?.fleet.agents);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_placements',
    help: 'Placements, by phase.',
    labelNames: ['phase'],
    async collect() {
      setAll(this, 'phase', phases, (await figures())?.fleet.phases);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_placement_health',
    help: 'Placements, by the health that their agents reported.',
    labelNames: ['health'],
    async collect() {
      setAll(this, 'health', healths, (await figures())?.fleet.healths);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_stacks',
    help: 'Stacks that are not being deleted.',
    collect: one(({ fleet }) => fleet.stacks),
  });
  new Gauge({
    registers,
    name: 'brokkr_clusters_unreachable',
    help: 'Agents that are online and cannot reach their cluster.',
    collect: one(({ fleet }) => fleet.clustersUnreachable),
  });
  new Gauge({
    registers,
    name: 'brokkr_oldest_pending_seconds',
    help: 'How long the oldest placement that is not applied has been waited for; 0 for none.',
    collect: one(({ fleet: { oldestPendingSince: since } }) =>
      since ? Math.max(0, (Date.now() - since.getTime()) / 1000) : 0,
    ),
  });
  new Gauge({
    registers,
    name: 'brokkr_audit_unsealed',
    help: 'Entries of the record that have no seal yet.',
    collect: one(({ backlog }) => backlog.unsealed),
  });
  new Gauge({
    registers,
    name: 'brokkr_audit_unsealed_seconds',
    help: 'Age of the oldest entry of the record without a seal; 0 for none.',
    collect: one(({ backlog }) => backlog.unsealedSeconds),
  });
  new Gauge({
    registers,
    name: 'brokkr_diagnostics_waiting',
    help: 'Diagnostics that no agent has answered yet.',
    collect: one(({ backlog }) => backlog.diagnostics),
  });
}

/** For a gauge without labels; it has no value while `read` has none. */
function value(read: () => number | undefined | Promise<number | undefined>): (this: Gauge) => Promise<void> {
  return async function collect() {
    const now = await read();
    if (now === undefined) this.remove();
    else this.set(now);
  };
}

/** Sets a gauge for every value of its label, or for none. */
function setAll<L extends string>(
  gauge: Gauge<L>,
  label: L,
  values: readonly string[],
  counts: Readonly<Partial<Record<string, number>>> | undefined,
): void {
  gauge.reset();
  if (!counts) return;
  for (const one of values) gauge.set({ [label]: one } as Record<L, string>, counts[one] ?? 0);
}
