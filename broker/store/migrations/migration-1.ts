import { Migration } from '@mikro-orm/migrations';

/** Creates the first schema. A migration is never edited once released; a later one changes what it created. */
export class Migration1Foundation extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  // Each change of a target state draws one value. Values may be skipped but never repeat.
  `create sequence order_seq`,

  `create table installation (
    id int primary key check (id = 1),
    epoch bigint not null,
    system_identifier text not null,
    timeline bigint not null,
    reason text not null,
    started_at timestamptz not null default now())`,

  `create table generator (
    id uuid primary key,
    name text not null,
    description text not null default '',
    registration text not null default 'open' check (registration in ('open', 'approve')),
    system boolean not null default false,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    deleted_at timestamptz)`,
  // Names are unique among live rows only, so a deleted row that waits for its removals does not block its successor.
  `create unique index generator_name on generator (name) where deleted_at is null`,
  `create unique index generator_system on generator (system) where system`,

  `create table agent (
    id uuid primary key,
    name text not null,
    description text not null default '',
    paused boolean not null default false,
    cluster_id text,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    deleted_at timestamptz)`,
  `create unique index agent_name on agent (name) where deleted_at is null`,
  `create index agent_by_name on agent (name)`,
  // Written by the agent's own calls, and apart from `agent`, so that heartbeats and changes of placements do not wait for each other.
  `create table agent_status (
    agent_id uuid primary key references agent on delete cascade,
    incarnation bigint not null default 0,
    last_sequence bigint not null default 0,
    last_heartbeat_at timestamptz,
    started_at timestamptz,
    agent_version text not null default '',
    kubernetes_version text not null default '')`,
  `create table agent_label (
    agent_id uuid not null references agent on delete cascade, label text not null, primary key (agent_id, label))`,
  `create index agent_label_label on agent_label (label)`,
  `create table agent_annotation (
    agent_id uuid not null references agent on delete cascade, key text not null, value text not null,
    primary key (agent_id, key))`,
  `create index agent_annotation_pair on agent_annotation (key, value)`,
  // The values of each key, from annotations and labels, as selectors evaluate them.
  `create view agent_key as
    select agent_id, key, value from agent_annotation
    union all select agent_id, label, '' from agent_label`,

  `create table registration (
    agent_id uuid not null references agent on delete cascade,
    generator_id uuid not null references generator on delete cascade,
    state text not null check (state in ('registered', 'requested')),
    created_at timestamptz not null default now(),
    primary key (agent_id, generator_id))`,
  `create index registration_generator on registration (generator_id)`,

  `create table stack (
    id uuid primary key,
    generator_id uuid not null references generator,
    name text not null,
    on_delete text not null default 'prune' check (on_delete in ('prune', 'orphan')),
    has_selector boolean not null default false,
    match_all boolean not null default false,
    current_deployment uuid,
    current_order bigint not null default 0,
    last_revision int not null default 0,
    version bigint not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz)`,
  `create unique index stack_name on stack (generator_id, name) where deleted_at is null`,
  `create index stack_by_name on stack (name)`,
  `create index stack_generator on stack (generator_id)`,
  `create index stack_selecting on stack (generator_id) where has_selector`,
  `create table stack_label (
    stack_id uuid not null references stack on delete cascade, label text not null, primary key (stack_id, label))`,
  `create index stack_label_label on stack_label (label)`,
  `create table stack_annotation (
    stack_id uuid not null references stack on delete cascade, key text not null, value text not null,
    primary key (stack_id, key))`,
  `create index stack_annotation_pair on stack_annotation (key, value)`,
  `create table stack_selector_term (
    stack_id uuid not null references stack on delete cascade, position int not null, key text not null,
    op text not null check (op in ('in', 'not_in', 'exists', 'does_not_exist')), vals text[] not null,
    primary key (stack_id, position))`,
  `create table target (
    stack_id uuid not null references stack on delete cascade,
    agent_id uuid not null references agent on delete cascade,
    primary key (stack_id, agent_id))`,
  `create index target_agent on target (agent_id)`,

  `create table manifest (checksum bytea primary key check (length(checksum) = 32), data bytea not null)`,
  // Already compressed where it pays, and stored out of line, so that an index scan never reads it.
  `alter table manifest alter column data set storage external`,
  `create table deployment (
    id uuid primary key,
    stack_id uuid not null references stack on delete cascade,
    revision int not null,
    checksum bytea not null references manifest,
    size int not null,
    object_count int not null,
    kinds text[] not null,
    message text not null default '',
    created_by text not null,
    rollback_of int,
    created_at timestamptz not null default now(),
    unique (stack_id, revision))`,
  `create index deployment_checksum on deployment (checksum)`,
  `alter table stack add foreign key (current_deployment) references deployment deferrable initially deferred`,
  `create function refuse_update() returns trigger language plpgsql as $$
    begin raise exception 'a % row cannot be changed', tg_table_name using errcode = 'integrity_constraint_violation'; end $$`,
  `create trigger deployment_is_immutable before update on deployment for each row execute function refuse_update()`,
  `create trigger manifest_is_immutable before update on manifest for each row execute function refuse_update()`,

  `create table placement (
    agent_id uuid not null references agent,
    stack_id uuid not null references stack,
    state text not null check (state in ('active', 'removing')),
    generation bigint not null,
    reasons jsonb not null default '[]',
    pin_deployment uuid,
    pin_order bigint not null default 0,
    manifest bytea references manifest,
    removal_reason text not null default '',
    held boolean not null default false,
    confirmed_order bigint not null default 0,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    primary key (agent_id, stack_id))`,
  `create index placement_stack on placement (stack_id, agent_id)`,
  `create index placement_manifest on placement (manifest) where manifest is not null`,
  // Reported by agents. It has no foreign keys, and a change of placements only deletes from it.
  `create table placement_status (
    agent_id uuid not null,
    stack_id uuid not null,
    deployment_id uuid,
    checksum bytea,
    generation bigint not null,
    outcome text not null,
    message text not null default '',
    incarnation bigint not null,
    sequence bigint not null,
    updated_at timestamptz not null default now(),
    primary key (agent_id, stack_id))`,
  `create index placement_status_stack on placement_status (stack_id, updated_at)`,

  // Partitioned by the broker's clock, so that retention drops whole days. It has no unique id: (agent, incarnation, sequence) is
  // kept unique by agent_status.last_sequence.
  `create sequence event_id_seq`,
  // Identity columns of partitioned tables need PostgreSQL 17.
  `create table event (
    id bigint not null default nextval('event_id_seq'),
    received_at timestamptz not null default now(),
    agent_id uuid not null,
    incarnation bigint not null,
    sequence bigint not null,
    stack_id uuid,
    deployment_id uuid,
    outcome text not null,
    message text not null,
    objects jsonb not null default '[]',
    agent_time timestamptz) partition by range (received_at)`,
  `create table event_rest partition of event default`,
  `create index event_stack on event (stack_id, id)`,
  `create index event_agent on event (agent_id, id)`,
  `create index event_id on event (id)`,

  `create table pak (
    id uuid primary key,
    short text not null unique,
    hash text not null,
    role text not null check (role in ('ad', 'ro', 'ge', 'ag', 'en')),
    agent_id uuid references agent on delete cascade,
    generator_id uuid references generator on delete cascade,
    name text not null default '',
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz)`,
  `create index pak_agent on pak (agent_id)`,
  `create index pak_generator on pak (generator_id)`,

  `create table request (
    principal uuid not null, method text not null, request_id text not null,
    hash bytea not null, answer bytea, created_at timestamptz not null default now(),
    primary key (principal, method, request_id))`,
  `create index request_age on request (created_at)`,

  // The change feed. Readers select by transaction id, so that they never skip a late commit.
  `create table change (
    id bigint generated always as identity primary key,
    xid xid8 not null default pg_current_xact_id(),
    kind text not null check (kind in ('stack', 'agent', 'key', 'epoch')),
    ref uuid not null,
    at timestamptz not null default now())`,
  `create index change_xid on change (xid)`,
  `create index change_age on change (at)`,
];
