import { Migration } from '@mikro-orm/migrations';

/** Adds telemetry of stacks: Kubernetes events and pod logs. */
export class Migration4Telemetry extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `create sequence telemetry_id_seq`,
  // Partitioned by the broker's clock, so that retention drops whole hours. It is read in order of (xid, id): a reader that remembers
  // the snapshot of its last read sees each row once, whatever the order of commits. Checks of foreign keys would lock placements.
  `create table telemetry (
    id bigint not null default nextval('telemetry_id_seq'),
    xid xid8 not null default pg_current_xact_id(),
    received_at timestamptz not null default now(),
    agent_id uuid not null,
    stack_id uuid not null,
    stream text not null check (stream in ('event', 'log')),
    gap text,
    count bigint not null,
    api_version text not null,
    kind text not null,
    namespace text not null,
    name text not null,
    container text not null,
    type text not null,
    reason text not null,
    source text not null,
    text text not null,
    truncated boolean not null,
    first_at timestamptz,
    at timestamptz) partition by range (received_at)`,
  `create table telemetry_rest partition of telemetry default`,
  `create index telemetry_stack on telemetry (stack_id, stream, xid, id)`,
  // The last batch of each agent that was recorded; written in the same transaction.
  `create table telemetry_agent (
    agent_id uuid primary key,
    incarnation bigint not null default 0,
    sequence bigint not null default 0)`,
  // Stacks and agents that are deleted, until their telemetry is deleted too.
  `create table telemetry_orphan (id uuid primary key)`,
  `create function leave_telemetry() returns trigger language plpgsql as $$
    begin insert into telemetry_orphan select id from gone on conflict do nothing; return null; end $$`,
  `create trigger stack_leaves_telemetry after delete on stack
    referencing old table as gone for each statement execute function leave_telemetry()`,
  `create trigger agent_leaves_telemetry after delete on agent
    referencing old table as gone for each statement execute function leave_telemetry()`,
];
