import { setTimeout as sleep } from 'node:timers/promises';
import { IsolationLevel, type MikroORM, type SqlEntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import type pg from 'pg';
import type { Cipher } from './cipher.ts';
import type { Transaction, Tx } from './database.ts';
import { sqlState } from './errors.ts';

/** SQLSTATE of serialisation failures and deadlocks. */
const retryable = new Set(['40001', '40P01']);
const maxAttempts = 5;

/** The dependencies of transactions besides a connection. */
export interface TransactionParts {
  readonly cipher: Cipher;
  /** Is called after the commit of a transaction that made changes for the feed. */
  readonly wakeBrokers: () => void;
}

/** Runs work in a transaction of the entity manager, READ COMMITTED, which it flushes before the commit. */
export async function transact<T>(
  orm: MikroORM,
  { cipher, wakeBrokers }: TransactionParts,
  work: (tx: Tx) => Promise<T>,
): Promise<T> {
  let wakes = false;
  const result = await orm.em.fork().transactional(
    async (em) => {
      const connection = em.getTransactionContext<Kysely<unknown>>();
      if (!connection) throw new Error('no transaction');
      return work({
        em: em as SqlEntityManager,
        cipher,
        wakeOnCommit: () => {
          wakes = true;
        },
        async sql<R>(text: string, params: readonly unknown[] = []) {
          const result = await connection.executeQuery(CompiledQuery.raw(text, [...params]));
          return result.rows as R[];
        },
      });
    },
    { isolationLevel: IsolationLevel.READ_COMMITTED },
  );
  if (wakes) wakeBrokers();
  return result;
}

/** Runs work in a transaction of prepared statements, READ COMMITTED, without the entity manager. */
export async function transactPrepared<T>(
  pool: pg.Pool,
  { cipher, wakeBrokers }: TransactionParts,
  work: (tx: Transaction) => Promise<T>,
): Promise<T> {
  let wakes = false;
  let isCommitted = false;
  const client = await pool.connect();
  let rollbackError: Error | undefined;
  try {
    await client.query('begin isolation level read committed');
    const result = await work({
      cipher,
      wakeOnCommit: () => {
        wakes = true;
      },
      async sql<R>(text: string, params: readonly unknown[] = []) {
        const { rows } = await client.query({ name: statementName(text), text, values: [...params] });
        return rows as R[];
      },
    });
    await client.query('commit');
    isCommitted = true;
    return result;
  } catch (error) {
    await client.query('rollback').catch((broken: Error) => {
      rollbackError = broken;
    });
    throw error;
  } finally {
    // The pool discards a connection that could not even roll back.
    client.release(rollbackError);
    if (isCommitted && wakes) wakeBrokers();
  }
}

const statementNames = new Map<string, string>();

/** Returns the name under which a statement is prepared: the same for a text as long as the process runs. */
function statementName(text: string): string {
  const name = statementNames.get(text) ?? `tx-${statementNames.size}`;
  statementNames.set(text, name);
  return name;
}

/** Runs work again, up to 5 times with jitter, after serialisation failures and deadlocks. */
export async function withRetries<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!retryable.has(sqlState(error) ?? '') || attempt > maxAttempts) throw error;
      await sleep(Math.random() * 20 * 2 ** attempt);
    }
  }
}
