import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client';
import type { Parser } from './deployment/parser.ts';
import type { Figures } from './fleet/figures.ts';
import { agentStates } from './fleet/rules.ts';
import { healths } from './health/rules.ts';
import type { Jobs } from './jobs/jobs.ts';
import { phases } from './placement/rules.ts';
import type { Live } from './reload.ts';
import type { Crowd } from './rpc/crowd.ts';
import type { Feed } from './store/feed.ts';
import type { Database } from './store/orm.ts';

/** What is looked at when somebody scrapes. */
export interface Watched {
  readonly db: Database;
  readonly feed: Feed;
  readonly jobs: Jobs;
  readonly parser: Parser;
  readonly crowd: Crowd;
  readonly live: Live;
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

function registerParts(register: Registry, { db, feed, jobs, parser, crowd, live, ...watched }: Watched): void {
  const registers = [register];
  new Gauge({ registers, name: 'brokkr_build_info', help: 'Always 1.', labelNames: ['version'] }).set(
    { version: watched.version },
    1,
  );
  gauge(register, 'brokkr_database_up', 'Whether the database answered within the last 5 s.', () =>
    Number(feed.available()),
  );
  gauge(register, 'brokkr_change_feed_healthy', 'Whether the change feed was read within the last 3 s.', () =>
    Number(feed.healthy()),
  );
  gauge(
    register,
    'brokkr_change_feed_age_seconds',
    'Since the change feed was last read: by LISTEN, or every second.',
    () => feed.ageMs() / 1000,
  );
  gauge(register, 'brokkr_submissions_waiting', 'Submissions that wait to be read.', crowd.waiting);
  gauge(register, 'brokkr_manifests_waiting', 'Manifests that wait for a thread that parses them.', parser.waiting);
  gauge(
    register,
    'brokkr_config_last_reload_successful',
    'Whether the configuration could be used when it was last read.',
    () => Number(live.isGood),
  );
  gauge(
    register,
    'brokkr_config_last_reload_success_timestamp_seconds',
    'When the configuration was last read and used.',
    () => live.readAt / 1000,
  );
  gauge(
    register,
    'brokkr_tls_certificate_expiry_timestamp_seconds',
    "When the broker's certificate ends; without TLS there is none.",
    () => {
      const endsAt = watched.certificateEndsAt();
      return endsAt === undefined ? undefined : endsAt / 1000;
    },
  );
  new Counter({
    registers,
    name: 'brokkr_change_feed_losses_total',
    help: 'How often the connection that listens to the change feed was lost.',
    collect() {
      this.reset();
      this.inc(feed.losses());
    },
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
    help: 'Connections to the database, by pool and by what they are at; "most" is how many there may be.',
    labelNames: ['pool', 'state'],
    collect() {
      for (const { pool, total, idle, most } of db.pools()) {
        this.set({ pool, state: 'idle' }, idle);
        this.set({ pool, state: 'busy' }, total - idle);
        this.set({ pool, state: 'most' }, most);
      }
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
  const one = (name: string, help: string, read: (figures: Figures) => number) =>
    gauge(register, name, help, async () => {
      const now = await figures();
      return now && read(now);
    });
  const many = <L extends string>(
    [name, help]: readonly [string, string],
    [label, values]: readonly [L, readonly string[]],
    read: (figures: Figures) => Readonly<Partial<Record<string, number>>>,
  ) =>
    new Gauge<L>({
      name,
      help,
      labelNames: [label],
      registers: [register],
      async collect() {
        const now = await figures();
        this.reset();
        if (!now) return;
        const counts = read(now);
        for (const value of values) this.set({ [label]: value } as Record<L, string>, counts[value] ?? 0);
      },
    });
  many(['brokkr_agents', 'Agents, by state.'], ['state', agentStates], ({ fleet }) => fleet.agents);
  many(['brokkr_placements', 'Placements, by phase.'], ['phase', phases], ({ fleet }) => fleet.phases);
  many(
    ['brokkr_placement_health', 'Placements, by the health that their agents reported.'],
    ['health', healths],
    ({ fleet }) => fleet.healths,
  );
  one('brokkr_stacks', 'Stacks that are not being deleted.', ({ fleet }) => fleet.stacks);
  one(
    'brokkr_clusters_unreachable',
    'Agents that are online and cannot reach their cluster.',
    ({ fleet }) => fleet.cluster_unreachable,
  );
  one(
    'brokkr_oldest_pending_seconds',
    'Since when the oldest placement that is not applied is waited for; 0 for none.',
    ({ fleet: { oldest_pending: since } }) => (since ? Math.max(0, (Date.now() - since.getTime()) / 1000) : 0),
  );
  one('brokkr_audit_unsealed', 'Entries of the record that have no seal yet.', ({ backlog }) => backlog.unsealed);
  one(
    'brokkr_audit_unsealed_seconds',
    'Age of the oldest entry of the record without a seal; 0 for none.',
    ({ backlog }) => backlog.unsealedSeconds,
  );
  one(
    'brokkr_diagnostics_waiting',
    'Diagnostics that no agent has answered yet.',
    ({ backlog }) => backlog.diagnostics,
  );
}

/** A gauge without labels; it has no value while `read` has none. */
function gauge(
  register: Registry,
  name: string,
  help: string,
  read: () => number | undefined | Promise<number | undefined>,
): void {
  new Gauge({
    name,
    help,
    registers: [register],
    async collect() {
      const value = await read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
}
