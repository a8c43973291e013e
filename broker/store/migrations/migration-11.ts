import { Migration } from '@mikro-orm/migrations';

/** Lets the database find the stack of a deployment that is deleted, and the stacks of a page, by an index. */
export class Migration11Indexes extends Migration {
  override async up(): Promise<void> {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  // The check of a deleted deployment then starts from its stack; it used to read the whole table. An index of the current deployment
  // would be written with every submission.
  `alter table deployment add unique (stack_id, id)`,
  `alter table stack drop constraint stack_current_deployment_fkey`,
  `alter table stack add constraint stack_current_deployment_fkey foreign key (id, current_deployment)
    references deployment (stack_id, id) deferrable initially deferred`,
  // The order of a page within a generator. It also serves look-ups by generator.
  `create index stack_page on stack (generator_id, name, id)`,
  `drop index stack_generator`,
];
