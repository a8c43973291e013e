import pg from 'pg';
import type { Postgres } from '../../sandbox/postgres/postgres.ts';

/** Counts the statements that a database server runs. */
export interface StatementCounter {
  /**
   * Runs work several times, and returns the statements of one run, each with how often it ran. Statements that do not come with every
   * run, such as those of background jobs, and the checks of foreign keys are left out.
   */
  ofOneRun(runs: number, work: (run: number) => Promise<unknown>): Promise<Map<string, number>>;
  close(): Promise<void>;
}

/** Makes a server count its statements. It restarts the server, so nothing may be connected yet. */
export async function countStatements(postgres: Postgres): Promise<StatementCounter> {
  const prepare = new pg.Client({ connectionString: postgres.url });
  await prepare.connect();
  await prepare.query(`alter system set shared_preload_libraries = 'pg_stat_statements'`);
  await prepare.end();
  await postgres.restart();
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query('create extension pg_stat_statements');
  return {
    async ofOneRun(runs, work) {
      await client.query('select pg_stat_statements_reset()');
      for (let run = 0; run < runs; run += 1) await work(run);
      const { rows } = await client.query<{ query: string; calls: string }>(
        `select query, sum(calls) as calls from pg_stat_statements
         where query not like 'SELECT % FROM ONLY %' and query not like '%pg_stat_statements%' group by query having sum(calls) >= $1`,
        [runs],
      );
      return new Map(rows.map(({ query, calls }) => [query.replace(/\s+/g, ' ').trim(), Math.floor(+calls / runs)]));
    },
    close: () => client.end(),
  };
}

/** Returns how many statements one run has. */
export function totalOf(statements: ReadonlyMap<string, number>): number {
  return [...statements.values()].reduce((sum, count) => sum + count, 0);
}
