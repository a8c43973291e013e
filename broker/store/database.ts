import type { SqlEntityManager } from '@mikro-orm/postgresql';
import type pg from 'pg';
import type { Cipher } from './cipher.ts';
import type { PoolState } from './pools.ts';

export interface Sql {
  /** Runs one statement with $1-style parameters. 64-bit integers come back as strings. */
  sql<R = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<R[]>;
  /** Encrypts sensitive bytes. */
  readonly cipher: Cipher;
}

/** One transaction. */
export interface Transaction extends Sql {
  /** Wakes all brokers once it has committed, so that they read the change feed. */
  wakeOnCommit(): void;
}

/** A transaction with the entity manager, which is for single rows; SQL is for sets. */
export interface Tx extends Transaction {
  readonly em: SqlEntityManager;
}

/** The database. Its own `sql` runs outside any transaction. */
export interface Database extends Sql {
  /**
   * Runs `work` in one READ COMMITTED transaction. After a serialisation failure or deadlock it runs again from the start, up to 5
   * times with jitter, so it must have no other effects. The entity manager is flushed before the commit.
   */
  transact<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Does the same with prepared statements and without the entity manager, for frequent transactions. The texts of its statements must
   * be constants, because each is prepared once for a connection.
   */
  transactPrepared<T>(work: (tx: Transaction) => Promise<T>): Promise<T>;
  /** Runs one prepared statement outside any transaction, on the primary. A `name` always stands for the same text. */
  read<R = Record<string, unknown>>(name: string, text: string, params?: readonly unknown[]): Promise<R[]>;
  /** Opens a connection outside the pools, for LISTEN and session locks. The caller ends it. */
  connect(): Promise<pg.Client>;
  /**
   * Ends the pooled connections that the server of `client` does not know. After a failover, connections to a server that vanished
   * would otherwise wait until their statements time out.
   */
  endLost(client: pg.Client): Promise<void>;
  /** Ends all pooled connections. Their statements fail. */
  endAll(): void;
  readonly schema: string;
  /** Returns the current state of the connection pools. */
  pools(): readonly PoolState[];
  migrate(): Promise<void>;
  close(): Promise<void>;
}
