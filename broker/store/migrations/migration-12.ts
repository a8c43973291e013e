import { Migration } from '@mikro-orm/migrations';

/** Lets a stack have its objects replaced when a field of them may not be changed. */
export class Migration12ForceReplace extends Migration {
  override async up(): Promise<void> {
    this.addSql('alter table stack add column force_replace boolean not null default false');
  }
}
