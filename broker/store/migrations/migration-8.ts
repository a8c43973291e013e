import { Migration } from '@mikro-orm/migrations';

/** A confirmation is for the objects that were shown as held. */
export class Migration8HeldKeys extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table placement add column confirmed_keys text[] not null default '{}'`);
    this.addSql(`alter table placement_status add column held_keys text[] not null default '{}'`);
  }
}
