import { Migration } from '@mikro-orm/migrations';

/** Adds what operators read and set: stack settings, health, the state of clusters, diagnostics. */
export class Migration3Operators extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `alter table stack
    add column drift text not null default 'repair' check (drift in ('repair', 'report', 'ignore')),
    add column conflict text not null default 'adopt' check (conflict in ('adopt', 'refuse')),
    add column ignored_fields jsonb not null default '[]'`,
  // Both stacks belong to one generator, whose lock every writer holds; that prevents cycles.
  `create table stack_dependency (
    stack_id uuid not null references stack on delete cascade,
    depends_on_id uuid not null references stack on delete cascade,
    primary key (stack_id, depends_on_id),
    check (stack_id <> depends_on_id))`,
  `create index stack_dependency_on on stack_dependency (depends_on_id)`,

  // In the order of the contract: the greatest of several is the worst.
  `create type health as enum ('healthy', 'progressing', 'degraded', 'failed', 'unknown')`,
  // The last report of agents. Like placement_status it has no foreign keys, because their checks would lock placements.
  `create table placement_health (
    agent_id uuid not null,
    stack_id uuid not null,
    deployment_id uuid not null,
    generation bigint not null,
    incarnation bigint not null,
    health health not null,
    message text not null,
    objects jsonb not null,
    object_count int not null,
    changed_at timestamptz not null default now(),
    reported_at timestamptz not null default now(),
    primary key (agent_id, stack_id))`,
  `create index placement_health_stack on placement_health (stack_id)`,
  `create table health_change (
    id bigint generated always as identity primary key,
    at timestamptz not null default now(),
    agent_id uuid not null,
    stack_id uuid not null,
    health health not null,
    message text not null)`,
  `create index health_change_placement on health_change (agent_id, stack_id, id)`,
  `create index health_change_stack on health_change (stack_id, id)`,
  `create index health_change_age on health_change (at)`,

  // `session_id` tells a session that ends from its successor on another broker. A session of a broker that was killed is no longer
  // seen.
  `alter table agent_status
    add column cluster_reachable boolean,
    add column cluster_latency_ms int,
    add column session_id uuid,
    add column session_since timestamptz,
    add column session_seen_at timestamptz`,

  `create table diagnostic (
    id uuid primary key,
    agent_id uuid not null references agent on delete cascade,
    stack_id uuid not null references stack on delete cascade,
    object jsonb,
    state text not null default 'pending' check (state in ('pending', 'claimed', 'done', 'failed')),
    message text not null default '',
    report bytea,
    report_key_id text not null default '',
    claimed_by bigint,
    claimed_at timestamptz,
    created_at timestamptz not null default now(),
    completed_at timestamptz,
    expires_at timestamptz not null)`,
  `create index diagnostic_open on diagnostic (agent_id, created_at) where state in ('pending', 'claimed')`,
  `create index diagnostic_stack on diagnostic (stack_id)`,
  `create index diagnostic_expiry on diagnostic (expires_at)`,

  `alter table change drop constraint change_kind_check`,
  `alter table change add constraint change_kind_check check (kind in ('stack', 'agent', 'key', 'epoch', 'diagnostic'))`,
];
