import { Migration } from '@mikro-orm/migrations';

/** Keeps service accounts beyond their registration, and limits how often an agent may begin an epoch. */
export class Migration7Limits extends Migration {
  override async up(): Promise<void> {
    this.addSql(`create table registration_account (
      agent_id uuid not null references agent on delete cascade,
      generator_id uuid not null references generator on delete cascade,
      service_account text not null,
      primary key (agent_id, generator_id))`);
    this.addSql(`insert into registration_account
      select agent_id, generator_id, service_account from registration where service_account <> ''`);
    this.addSql('alter table agent_status add column epoch_begun_at timestamptz');
  }
}
