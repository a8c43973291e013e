import { Migration } from '@mikro-orm/migrations';

/** Limits a confirmation to the objects that were listed as held. */
export class Migration8HeldKeys extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table placement add column confirmed_keys text[] not null default '{}'`);
    this.addSql(`alter table placement_status add column held_keys text[] not null default '{}'`);
  }
}
