import { Migration } from '@mikro-orm/migrations';

/** Adds agents that enroll themselves. */
export class Migration5Enrollment extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  // The agent to create, under the token's key. `nonce` is the SHA-256 of the nonce of the agent that used the token; from then on the
  // token is used, even when that agent is gone.
  `create table enrollment (
    pak_id uuid primary key references pak on delete cascade,
    description text not null,
    labels text[] not null,
    annotations jsonb not null,
    generators text[] not null,
    nonce bytea check (length(nonce) = 32),
    agent_id uuid references agent on delete set null)`,
  `create index enrollment_agent on enrollment (agent_id)`,

  `alter table audit drop constraint audit_actor_role_check`,
  `alter table audit add constraint audit_actor_role_check
    check (actor_role in ('ad', 'ro', 'ge', 'ag', 'en', 'operator', 'nobody'))`,
];
