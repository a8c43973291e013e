import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Migrator } from '@mikro-orm/migrations';
import {
  type AnyEntity,
  type EntityClass,
  type EntitySchema,
  IsolationLevel,
  MikroORM,
  type SqlEntityManager,
} from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import pg from 'pg';
import { Refusal } from '../refusal.ts';
import { type Cipher, createCipher } from './cipher.ts';
import { migrations } from './migrations/migrations.ts';
import { followConnections, type PoolState, stateOf } from './pools.ts';

export interface Sql {
  /** Runs one statement with $1-style parameters. 64-bit integers come back as strings. */
  sql<R = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<R[]>;
  /** What sensitive bytes are encrypted with. */
  readonly cipher: Cipher;
}

/** One transaction: the entity manager for single rows, and SQL for sets. */
export interface Tx extends Sql {
  readonly em: SqlEntityManager;
}

/** The database; its own `sql` runs outside any transaction. */
export interface Database extends Sql {
  /**
   * Runs `work` in one READ COMMITTED transaction; serialisation failures and deadlocks run it again from the start, up to
   * 5 times with jitter, so it must not have effects of its own. The entity manager is flushed before the commit.
   */
  transact<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * The same on prepared statements and without the entity manager, for what happens thousands of times a second. The texts of its
   * statements must be constants: each is prepared once for a connection.
   */
  transactPrepared<T>(work: (tx: Sql) => Promise<T>): Promise<T>;
  /** Runs one prepared statement outside any transaction, on the primary. `name` identifies the text for good. */
  read<R = Record<string, unknown>>(name: string, text: string, params?: readonly unknown[]): Promise<R[]>;
  /** A connection of its own, for LISTEN and session locks. The caller ends it. */
  connect(): Promise<pg.Client>;
  /**
   * Ends the pooled connections that the server behind `client` does not know: after a failover the old server may have gone without a
   * word, and they would wait for it until their statements' time is over.
   */
  endLost(client: pg.Client): Promise<void>;
  readonly schema: string;
  /** The connections as they are now. */
  pools(): readonly PoolState[];
  migrate(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Default "brokkr". Made when missing. */
  readonly schema?: string;
  readonly entities: readonly (EntitySchema | EntityClass<AnyEntity>)[];
  /** What sensitive bytes are encrypted with; by default they are not. */
  readonly cipher?: Cipher;
  /** Connections in all, at least 4; default 20. */
  readonly connections?: number;
}

const statementTimeoutMs = 30_000;
/** A server that cannot be reached never says that the statement's time is over. */
const answerTimeoutMs = statementTimeoutMs + 5_000;
const retryable = new Set(['40001', '40P01']);

/** Opens the pools. Connects once, so that an unreachable database is told at once; the schema is made if missing. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const schema = options.schema ?? 'brokkr';
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new Error(`database schema "${schema}" is not a plain lower-case name`);
  const name = `brokkr-${randomBytes(6).toString('hex')}`;
  const session = `-c application_name=${name} -c search_path=${schema} -c statement_timeout=${statementTimeoutMs} -c idle_in_transaction_session_timeout=60000`;
  const connections = followConnections(name);
  const connect = async () => {
    const client = new pg.Client({
      connectionString: options.url,
      options: session,
      connectionTimeoutMillis: 5_000,
      keepAlive: true,
    });
    client.on('error', () => {}); // an idle connection that breaks is noticed by its owner's next query
    await client.connect();
    return client;
  };
  const first = await connect().catch((error: unknown) => {
    throw new Refusal('unavailable', `the database cannot be used: ${reasonOf(error)}`, { cause: error });
  });
  try {
    // Two that make it at once would make one of them fail.
    await first.query(`select pg_advisory_lock(hashtextextended('brokkr schema', 0))`);
    await first.query(`create schema if not exists ${schema}`);
  } finally {
    await first.end();
  }
  const most = Math.max(options.connections ?? 20, 4);
  const [ofStatements, ofEntities] = [Math.floor(most / 2), Math.ceil(most / 2)];
  const pool = new pg.Pool({
    connectionString: options.url,
    options: session,
    max: ofStatements,
    connectionTimeoutMillis: 5_000,
    query_timeout: answerTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  });
  connections.follow(pool);
  let ormPool: pg.Pool | undefined;
  const orm = await openOrm(options, schema, session, {
    answerMs: answerTimeoutMs,
    connections: ofEntities,
    opened: (made) => {
      connections.follow(made);
      ormPool = made;
    },
  });
  const cipher = options.cipher ?? createCipher([]);
  return {
    schema,
    cipher,
    connect,
    endLost: connections.endLost,
    transact: (work) => retried(() => transact(orm, cipher, work)),
    transactPrepared: (work) => retried(() => transactPrepared(pool, cipher, work)),
    async read<R>(name: string, text: string, params: readonly unknown[] = []) {
      const result = await pool.query({ name, text, values: [...params] });
      return result.rows as R[];
    },
    async sql<R>(text: string, params: readonly unknown[] = []) {
      const result = await pool.query(text, [...params]);
      return result.rows as R[];
    },
    pools: () => [
      stateOf('statements', pool, ofStatements),
      ...(ormPool ? [stateOf('entities', ormPool, ofEntities)] : []),
    ],
    migrate: () => migrate(options, schema, connect),
    async close() {
      await Promise.allSettled([orm.close(true), pool.end()]);
    },
  };
}

/** A host with several addresses gives an error for each of them, and none of its own. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}

function transact<T>(orm: MikroORM, cipher: Cipher, work: (tx: Tx) => Promise<T>): Promise<T> {
  return orm.em.fork().transactional(
    async (em) => {
      const connection = em.getTransactionContext<Kysely<unknown>>();
      if (!connection) throw new Error('no transaction');
      return work({
        em: em as SqlEntityManager,
        cipher,
        async sql<R>(text: string, params: readonly unknown[] = []) {
          const result = await connection.executeQuery(CompiledQuery.raw(text, [...params]));
          return result.rows as R[];
        },
      });
    },
    { isolationLevel: IsolationLevel.READ_COMMITTED },
  );
}

async function transactPrepared<T>(pool: pg.Pool, cipher: Cipher, work: (tx: Sql) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let failure: Error | undefined;
  try {
    await client.query('begin isolation level read committed');
    const answer = await work({
      cipher,
      async sql<R>(text: string, params: readonly unknown[] = []) {
        const result = await client.query({ name: nameOf(text), text, values: [...params] });
        return result.rows as R[];
      },
    });
    await client.query('commit');
    return answer;
  } catch (error) {
    await client.query('rollback').catch((broken: Error) => {
      failure = broken;
    });
    throw error;
  } finally {
    // A connection that cannot even roll back is given up.
    client.release(failure);
  }
}

const names = new Map<string, string>();

/** A name for a statement's text: the same for as long as the process runs. */
function nameOf(text: string): string {
  const name = names.get(text) ?? `tx-${names.size}`;
  names.set(text, name);
  return name;
}

async function retried<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (!retryable.has(sqlState(error) ?? '') || attempt > 5) throw error;
      await sleep(Math.random() * 20 * 2 ** attempt);
    }
  }
}

/** The SQLSTATE of a database error, through MikroORM's wrapping; undefined for others. */
export function sqlState(error: unknown): string | undefined {
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const code = (current as { code?: unknown }).code;
    // Every SQLSTATE has a digit; without one it is the system's, such as EPIPE.
    if (typeof code === 'string' && /^(?=.*[0-9])[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/** The constraint or index that a statement violated; undefined for other errors. */
function violatedConstraint(error: unknown): string | undefined {
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const constraint = (current as { constraint?: unknown }).constraint;
    if (typeof constraint === 'string') return constraint;
  }
  return undefined;
}

/** Turns a unique violation of `index` into a refusal; passes everything else on. */
export function refuseDuplicate(error: unknown, index: string, message: string): never {
  if (sqlState(error) === '23505' && violatedConstraint(error) === index) {
    throw new Refusal('already_exists', message, { reason: 'NAME_TAKEN', cause: error });
  }
  throw error;
}

/** Brokers that start together migrate one after the other. What a migration does to a large table takes the time that it takes. */
async function migrate(options: DatabaseOptions, schema: string, connect: () => Promise<pg.Client>): Promise<void> {
  const client = await connect();
  try {
    await client.query('set statement_timeout = 0');
    await client.query(`select pg_advisory_lock(hashtextextended('brokkr migrate ' || current_schema(), 0))`);
    const orm = await openOrm(options, schema, `-c search_path=${schema}`, { answerMs: 0, connections: 2 });
    await orm.migrator.up().finally(() => orm.close(true));
  } finally {
    await client.end();
  }
}

function openOrm(
  options: DatabaseOptions,
  schema: string,
  session: string,
  { answerMs, connections, opened }: { answerMs: number; connections: number; opened?: (pool: pg.Pool) => void },
): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: options.url,
    entities: [...options.entities],
    extensions: [Migrator],
    schema,
    debug: false,
    // Entities describe what the migrations made; they never make anything.
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: connections },
    // The types that `pg` itself reads, so that both pools answer alike: dates as Date, 64-bit integers as strings.
    driverOptions: {
      // The ORM takes host, user and database from its URL, and leaves out what the query says, such as sslmode.
      connectionString: options.url,
      options: session,
      connectionTimeoutMillis: 5_000,
      ...(answerMs > 0 && { query_timeout: answerMs }),
      keepAlive: true,
      types: pg.types,
      ...(opened && { onPoolCreated: opened }),
    },
    logger: () => {},
    migrations: {
      migrationsList: [...migrations],
      tableName: 'migration',
      transactional: true,
      snapshot: false,
    },
  });
}
