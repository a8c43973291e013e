import { Migration } from '@mikro-orm/migrations';

/** Adds the trace context of a deployment's submission, so that the agents' work becomes part of the same trace. */
export class Migration6Traces extends Migration {
  override async up(): Promise<void> {
    this.addSql(`alter table deployment add column trace_parent text not null default ''
      check (trace_parent = '' or trace_parent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$')`);
  }
}
