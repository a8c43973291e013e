import { Migration } from '@mikro-orm/migrations';

/** Adds the audit log, and limits for generators. */
export class Migration2Audit extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  // Partitioned by day, so that retention drops whole days.
  // Identity columns of partitioned tables are new in PostgreSQL 17.
  `create sequence audit_id_seq`,
  `create table audit (
    id bigint not null default nextval('audit_id_seq'),
    at timestamptz not null default now(),
    actor_role text not null check (actor_role in ('ad', 'ro', 'ge', 'ag', 'operator', 'nobody')),
    actor_id uuid,
    actor_name text not null,
    key_short text not null,
    action text not null,
    object_kind text not null,
    object_id text not null,
    object_name text not null,
    before_digest bytea,
    after_digest bytea,
    source text not null,
    request_id text not null,
    outcome text not null check (outcome in ('done', 'denied')),
    code text not null default '',
    count int not null default 1) partition by range (at)`,
  `create table audit_rest partition of audit default`,
  // Without a partition for today, today's rows would go to the default partition, which retention does not drop.
  `do $$ begin
    for ahead in 0..3 loop
      execute format('create table %I partition of audit for values from (%L) to (%L)',
        'audit_' || to_char((now() at time zone 'utc')::date + ahead, 'YYYYMMDD'),
        to_char((now() at time zone 'utc')::date + ahead, 'YYYY-MM-DD') || ' 00:00:00+00',
        to_char((now() at time zone 'utc')::date + ahead + 1, 'YYYY-MM-DD') || ' 00:00:00+00');
    end loop;
  end $$`,
  `create index audit_id on audit (id)`,
  `create index audit_object on audit (object_id, id)`,
  `create index audit_actor on audit (actor_id, id)`,
  `create function refuse_change() returns trigger language plpgsql as $$
    begin raise exception 'rows of % are only ever added', tg_table_name using errcode = 'integrity_constraint_violation'; end $$`,
  `create trigger audit_is_append_only before update or delete on audit for each row execute function refuse_change()`,

  `create trigger audit_is_not_emptied before truncate on audit for each statement execute function refuse_change()`,

  // The rows that are not sealed yet. Being a queue, it makes a row that commits late sealed late instead of skipped.
  `create table audit_unsealed (audit_id bigint primary key, day date not null)`,
  `create function queue_for_seal() returns trigger language plpgsql as $$
    begin insert into audit_unsealed (audit_id, day) values (new.id, (new.at at time zone 'utc')::date); return null; end $$`,
  `create trigger audit_is_sealed after insert on audit for each row execute function queue_for_seal()`,

  // A seal covers rows of one day; its hash is over the previous seal and the rows.
  `create table audit_seal (
    sequence bigint primary key,
    day date not null,
    ids bigint[] not null,
    row_hashes bytea not null,
    hash bytea not null,
    sealed_at timestamptz not null default now())`,
  `create index audit_seal_ids on audit_seal using gin (ids)`,
  `create trigger audit_seal_is_immutable before update on audit_seal for each row execute function refuse_change()`,
  // The start of the chain, once the first days were dropped.
  `create table audit_base (id int primary key check (id = 1), sequence bigint not null, hash bytea not null, day date not null)`,

  // Id of the key that encrypts a manifest; empty for none. Only re-encryption may rewrite a manifest's bytes, and never its checksum.
  `alter table manifest add column key_id text not null default ''`,
  `create index manifest_key on manifest (key_id)`,
  `create function refuse_other_manifest() returns trigger language plpgsql as $$
    begin
      if current_setting('brokkr.reencrypt', true) = 'on' and new.checksum = old.checksum then return new; end if;
      raise exception 'a manifest row cannot be changed' using errcode = 'integrity_constraint_violation';
    end $$`,
  `drop trigger manifest_is_immutable on manifest`,
  `create trigger manifest_is_immutable before update on manifest for each row execute function refuse_other_manifest()`,

  `alter table generator
    add column allow_namespaces text[] not null default '{}',
    add column deny_namespaces text[] not null default '{}',
    add column allow_kinds text[] not null default '{}',
    add column deny_kinds text[] not null default '{}',
    add column cluster_scoped boolean not null default false,
    add column quota_stacks int not null default 0,
    add column quota_deployments int not null default 0,
    add column quota_bytes bigint not null default 0`,
  // The admins' stacks are not limited, and generators from before the rules keep their rights.
  `update generator set cluster_scoped = true`,
  `alter table registration add column service_account text not null default ''`,
  // A removal outlives the registration, which names the account.
  `alter table placement add column service_account text not null default ''`,
  `alter table stack
    add column kept_bytes bigint not null default 0,
    add column trimmed_through uuid`,
  `update stack s set kept_bytes = (select coalesce(sum(d.size), 0) from deployment d where d.stack_id = s.id)`,
];
