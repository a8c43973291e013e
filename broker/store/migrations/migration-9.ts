import { Migration } from '@mikro-orm/migrations';

/** Lets telemetry and remembered answers be encrypted. Existing rows stay as they are until they are deleted. */
export class Migration9Sealed extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table telemetry add column key_id text not null default '', add column sealed bytea`);
    this.addSql(`alter table request add column key_id text not null default ''`);
  }
}
