import { Migration } from '@mikro-orm/migrations';

/** Gives deployments a default namespace. Existing ones have none, as before. */
export class Migration10Namespace extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table deployment add column namespace text not null default ''`);
  }
}
