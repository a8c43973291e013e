import { randomBytes } from 'node:crypto';
import { Migrator } from '@mikro-orm/migrations';
import { type AnyEntity, type EntityClass, type EntitySchema, MikroORM } from '@mikro-orm/postgresql';
import pg from 'pg';
import { Refusal } from '../refusal.ts';
import { createChangeNotifier } from './change-notifier.ts';
import { type Cipher, createCipher } from './cipher.ts';
import type { Database } from './database.ts';
import { reasonOf } from './errors.ts';
import { migrations } from './migrations/migrations.ts';
import { createConnectionTracker, poolState } from './pools.ts';
import { transact, transactPrepared, withRetries } from './transactions.ts';

export interface DatabaseOptions {
  readonly url: string;
  /** Default "brokkr"; created when missing. */
  readonly schema?: string;
  readonly entities: readonly (EntitySchema | EntityClass<AnyEntity>)[];
  /** Encrypts sensitive bytes; by default they stay plain. */
  readonly cipher?: Cipher;
  /** Maximum number of pooled connections, at least 4; default 20. */
  readonly connections?: number;
}

const statementTimeoutMs = 30_000;
/** A server that became unreachable never reports that a statement timed out. */
const queryTimeoutMs = statementTimeoutMs + 5_000;
const connectTimeoutMs = 5_000;
const minConnections = 4;
const notifyChangeSql = `select pg_notify('brokkr_change_' || current_schema(), '')`;
const defaultConnections = 20;

/** Opens the connection pools. It connects once first, so that an unreachable database fails at once; a missing schema is created. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  const { url, schema = 'brokkr', cipher = createCipher([]) } = options;
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema))
    throw new Error(`database schema "${schema}" is not a plain lower-case name`);
  const applicationName = `brokkr-${randomBytes(6).toString('hex')}`;
  const session = `-c application_name=${applicationName} -c search_path=${schema} -c statement_timeout=${statementTimeoutMs} -c idle_in_transaction_session_timeout=60000`;
  const connect = () => openConnection(url, session);
  await createSchema(connect, schema);

  const connections = Math.max(options.connections ?? defaultConnections, minConnections);
  const [maxStatements, maxEntities] = [Math.floor(connections / 2), Math.ceil(connections / 2)];
  const tracker = createConnectionTracker(applicationName);
  const pool = openStatementPool(url, session, maxStatements);
  tracker.track(pool);
  let entityPool: pg.Pool | undefined;
  const orm = await openOrm(options, schema, session, {
    queryTimeoutMs,
    connections: maxEntities,
    onPoolCreated: (created) => {
      tracker.track(created);
      entityPool = created;
    },
  });
  const notifier = createChangeNotifier(() => pool.query({ name: 'notify-change', text: notifyChangeSql }));
  const parts = { cipher, wakeBrokers: notifier.notify };
  return {
    schema,
    cipher,
    connect,
    endLost: tracker.endLost,
    endAll: tracker.endAll,
    transact: (work) => withRetries(() => transact(orm, parts, work)),
    transactPrepared: (work) => withRetries(() => transactPrepared(pool, parts, work)),
    async read<R>(name: string, text: string, params: readonly unknown[] = []) {
      const result = await pool.query({ name, text, values: [...params] });
      return result.rows as R[];
    },
    async sql<R>(text: string, params: readonly unknown[] = []) {
      const result = await pool.query(text, [...params]);
      return result.rows as R[];
    },
    pools: () => [
      poolState('statements', pool, maxStatements),
      ...(entityPool ? [poolState('entities', entityPool, maxEntities)] : []),
    ],
    migrate: () => migrate(options, schema, connect),
    async close() {
      await notifier.close();
      await Promise.allSettled([orm.close(true), pool.end()]);
    },
  };
}

async function openConnection(url: string, session: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString: url,
    options: session,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
  });
  // When an idle connection breaks, the next query of its owner fails.
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function createSchema(connect: () => Promise<pg.Client>, schema: string): Promise<void> {
  const client = await connect().catch((error: unknown) => {
    throw new Refusal('unavailable', `the database cannot be used: ${reasonOf(error)}`, { cause: error });
  });
  try {
    // One of two concurrent "create schema if not exists" would fail.
    await client.query(`select pg_advisory_lock(hashtextextended('brokkr schema', 0))`);
    await client.query(`create schema if not exists ${schema}`);
  } finally {
    await client.end();
  }
}

function openStatementPool(url: string, session: string, max: number): pg.Pool {
  return new pg.Pool({
    connectionString: url,
    options: session,
    max,
    connectionTimeoutMillis: connectTimeoutMs,
    query_timeout: queryTimeoutMs,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
  });
}

/** Runs the migrations, one broker at a time. They have no timeout, because the migration of a large table may take long. */
async function migrate(options: DatabaseOptions, schema: string, connect: () => Promise<pg.Client>): Promise<void> {
  const client = await connect();
  try {
    await client.query('set statement_timeout = 0');
    await client.query(`select pg_advisory_lock(hashtextextended('brokkr migrate ' || current_schema(), 0))`);
    const orm = await openOrm(options, schema, `-c search_path=${schema}`, { queryTimeoutMs: 0, connections: 2 });
    await orm.migrator.up().finally(() => orm.close(true));
  } finally {
    await client.end();
  }
}

function openOrm(
  options: DatabaseOptions,
  schema: string,
  session: string,
  pool: { queryTimeoutMs: number; connections: number; onPoolCreated?: (pool: pg.Pool) => void },
): Promise<MikroORM> {
  return MikroORM.init({
    clientUrl: options.url,
    entities: [...options.entities],
    extensions: [Migrator],
    schema,
    debug: false,
    // Entities describe the tables that the migrations created; the ORM creates none.
    discovery: { warnWhenNoEntities: false },
    pool: { min: 0, max: pool.connections },
    driverOptions: {
      // From its URL the ORM takes host, user and database, but not the query parameters, such as sslmode.
      connectionString: options.url,
      options: session,
      connectionTimeoutMillis: connectTimeoutMs,
      ...(pool.queryTimeoutMs > 0 && { query_timeout: pool.queryTimeoutMs }),
      keepAlive: true,
      // The type parsers of `pg`, so that both pools return the same: dates as Date, 64-bit integers as strings.
      types: pg.types,
      ...(pool.onPoolCreated && { onPoolCreated: pool.onPoolCreated }),
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
