import { Migration } from '@mikro-orm/migrations';

/** What clusters told, and answers that are remembered, may be encrypted. What is kept already stays as it is, until it is forgotten. */
export class Migration9Sealed extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table telemetry add column key_id text not null default '', add column sealed bytea`);
    this.addSql(`alter table request add column key_id text not null default ''`);
  }
}
