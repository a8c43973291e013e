import type { Logger } from 'pino';
import { ConfigError } from '../client/settings.ts';
import { entities as accessEntities } from './access/store.ts';
import { entities as agentEntities } from './agent/store.ts';
import { createAuditDays } from './audit/retention.ts';
import type { Config } from './config.ts';
import { unknownKeys } from './deployment/store.ts';
import { entities as generatorEntities } from './generator/store.ts';
import { entities as stackEntities } from './stack/store.ts';
import { failWhileUnavailable } from './store/availability.ts';
import { createCipher } from './store/cipher.ts';
import type { Database } from './store/database.ts';
import { sqlState } from './store/errors.ts';
import { type Feed, startFeed } from './store/feed.ts';
import { checkInstallation } from './store/installation.ts';
import { openDatabase } from './store/open-database.ts';

const entities = [...accessEntities, ...agentEntities, ...generatorEntities, ...stackEntities];

type StoreConfig = Pick<Config, 'databaseUrl' | 'databaseSchema' | 'encryptionKeys'>;

/** Opens the database and migrates it. Rejects when BROKKR_ENCRYPTION_KEY lacks a key that manifests are encrypted with. */
export async function openMigrated(config: StoreConfig): Promise<Database> {
  const cipher = createCipher(config.encryptionKeys);
  const db = await openDatabase({ url: config.databaseUrl, schema: config.databaseSchema, entities, cipher });
  try {
    await db.migrate();
    await ensureAuditPartitions(db);
    await checkInstallation(db);
    const [unknown] = await unknownKeys(db);
    if (unknown !== undefined) {
      throw new ConfigError(`BROKKR_ENCRYPTION_KEY: does not list key ${unknown}, with which manifests are encrypted`);
    }
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

const lockNotAvailable = '55P03';

/** Creates the audit partition of today, which is missing after days without a broker. While a long transaction locks the table, the job does it later. */
async function ensureAuditPartitions(db: Database): Promise<void> {
  await createAuditDays(db).catch((error: unknown) => {
    if (sqlState(error) !== lockNotAvailable) throw error;
  });
}

/** Opens the database and its change feed. Every new connection of the feed checks whether it is still the same database. */
export async function openStore(config: StoreConfig, log: Logger): Promise<{ db: Database; feed: Feed }> {
  const db = await openMigrated(config);
  try {
    const feed = await startFeed(db, log, async (client, wasReadOnly) => {
      // A session that began read-only stays so.
      if (wasReadOnly) db.endAll();
      else await db.endLost(client);
      await checkInstallation(db);
    });
    return { db: failWhileUnavailable(db, feed), feed };
  } catch (error) {
    await db.close();
    throw error;
  }
}
