import { Migration } from '@mikro-orm/migrations';

/** Lets a broker notice that the rows of the database were restored. The first start sets the column, in a transaction of its own. */
export class Migration13WriterTransaction extends Migration {
  override async up(): Promise<void> {
    this.addSql('alter table installation add column written_by xid8');
  }
}
