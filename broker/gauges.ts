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

/** The sources of the gauges, read at each scrape. */
export interface GaugeSources {
  readonly db: Database;
  readonly feed: Feed;
  readonly jobs: Jobs;
  readonly parser: Parser;
  readonly limiter: ConcurrencyLimiter;
  readonly live: LiveConfig;
  readonly figures: () => Promise<Figures | undefined>;
  /** Expiry of the broker's certificate, in milliseconds since 1970; undefined without TLS. */
  readonly certificateEndsAt: () => number | undefined;
  readonly version: string;
}

/** Registers the metrics that are read rather than counted: of the process, of the broker's parts, and of the fleet in the database. */
export function registerGauges(register: Registry, sources: GaugeSources): void {
  collectDefaultMetrics({ register });
  registerDatabase(register, sources);
  registerPools(register, sources);
  registerWork(register, sources);
  registerConfig(register, sources);
  registerFleet(register, sources.figures);
  registerBacklog(register, sources.figures);
}

function registerDatabase(register: Registry, { feed }: GaugeSources): void {
  const registers = [register];
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
    help: 'Time since the change feed was last read; it is read after each notification and at least once a second.',
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
}

function registerPools(register: Registry, { db }: GaugeSources): void {
  const registers = [register];
  new Gauge({
    registers,
    name: 'brokkr_database_connections',
    help: 'Connections to the database, by pool and whether they are busy.',
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
    help: 'Maximum number of connections to the database, by pool.',
    labelNames: ['pool'],
    collect() {
      for (const { pool, max } of db.pools()) this.set({ pool }, max);
    },
  });
  new Gauge({
    registers,
    name: 'brokkr_database_waiting',
    help: 'Callers that wait for a connection to the database, by pool.',
    labelNames: ['pool'],
    collect() {
      for (const { pool, waiting } of db.pools()) this.set({ pool }, waiting);
    },
  });
}

function registerWork(register: Registry, { limiter, parser, jobs }: GaugeSources): void {
  const registers = [register];
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
}

function registerConfig(register: Registry, { live, certificateEndsAt, version }: GaugeSources): void {
  const registers = [register];
  new Gauge({ registers, name: 'brokkr_build_info', help: 'Always 1.', labelNames: ['version'] }).set({ version }, 1);
  new Gauge({
    registers,
    name: 'brokkr_config_last_reload_successful',
    help: 'Whether the last read of the configuration succeeded.',
    collect: value(() => Number(live.isGood)),
  });
  new Gauge({
    registers,
    name: 'brokkr_config_last_reload_success_timestamp_seconds',
    help: 'When the configuration was last read successfully.',
    collect: value(() => live.readAt / 1000),
  });
  new Gauge({
    registers,
    name: 'brokkr_tls_certificate_expiry_timestamp_seconds',
    help: 'When the certificate in use expires; without TLS there is none.',
    collect: value(() => {
      const endsAt = certificateEndsAt();
      return endsAt === undefined ? undefined : endsAt / 1000;
    }),
  });
}

type ReadFigures = () => Promise<Figures | undefined>;

/** Registers the counts of the fleet. While the database does not answer they have no values, since old ones would look like good news. */
function registerFleet(register: Registry, figures: ReadFigures): void {
  const registers = [register];
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
    collect: figure(figures, ({ fleet }) => fleet.stacks),
  });
  new Gauge({
    registers,
    name: 'brokkr_clusters_unreachable',
    help: 'Agents that are online and cannot reach their cluster.',
    collect: figure(figures, ({ fleet }) => fleet.clustersUnreachable),
  });
}

/** Registers the work that waits, with the age of the oldest. */
function registerBacklog(register: Registry, figures: ReadFigures): void {
  const registers = [register];
  new Gauge({
    registers,
    name: 'brokkr_oldest_pending_seconds',
    help: 'How long the oldest placement that is not applied has been pending; 0 for none.',
    collect: figure(figures, ({ fleet: { oldestPendingSince: since } }) =>
      since ? Math.max(0, (Date.now() - since.getTime()) / 1000) : 0,
    ),
  });
  new Gauge({
    registers,
    name: 'brokkr_audit_unsealed',
    help: 'Audit entries that have no seal yet.',
    collect: figure(figures, ({ backlog }) => backlog.unsealed),
  });
  new Gauge({
    registers,
    name: 'brokkr_audit_unsealed_seconds',
    help: 'Age of the oldest audit entry without a seal; 0 for none.',
    collect: figure(figures, ({ backlog }) => backlog.unsealedSeconds),
  });
  new Gauge({
    registers,
    name: 'brokkr_diagnostics_waiting',
    help: 'Diagnostics that no agent has answered yet.',
    collect: figure(figures, ({ backlog }) => backlog.diagnostics),
  });
}

/** Collects one figure of the fleet. */
function figure(figures: ReadFigures, read: (figures: Figures) => number) {
  return value(async () => {
    const current = await figures();
    return current && read(current);
  });
}

/** Collects a gauge without labels; it has no value while `read` returns undefined. */
function value(read: () => number | undefined | Promise<number | undefined>): (this: Gauge) => Promise<void> {
  return async function collect() {
    const current = await read();
    if (current === undefined) this.remove();
    else this.set(current);
  };
}

/** Sets a gauge for every value of its label; without counts, for none. */
function setAll<L extends string>(
  gauge: Gauge<L>,
  label: L,
  values: readonly string[],
  counts: Readonly<Partial<Record<string, number>>> | undefined,
): void {
  gauge.reset();
  if (!counts) return;
  for (const labelValue of values) gauge.set({ [label]: labelValue } as Record<L, string>, counts[labelValue] ?? 0);
}
