import type { Logger } from 'pino';
import { ConfigError } from '../client/settings.ts';
import { entities as accessEntities } from './access/store.ts';
import { entities as agentEntities } from './agent/store.ts';
import { createAuditDays } from './audit/retention.ts';
import type { Config } from './config.ts';
import { entities as deploymentEntities, unknownKeys } from './deployment/store.ts';
import { entities as generatorEntities } from './generator/store.ts';
import { entities as stackEntities } from './stack/store.ts';
import { guardDatabase } from './store/availability.ts';
import { createCipher } from './store/cipher.ts';
import { type Feed, startFeed } from './store/feed.ts';
import { checkInstallation } from './store/installation.ts';
import { type Database, openDatabase, sqlState } from './store/orm.ts';

const entities = [...accessEntities, ...agentEntities, ...deploymentEntities, ...generatorEntities, ...stackEntities];

type StoreConfig = Pick<Config, 'databaseUrl' | 'databaseSchema' | 'encryptionKeys'>;

/** Opens the database and brings its schema up to date. */
export async function openMigrated(config: StoreConfig): Promise<Database> {
  const cipher = createCipher(config.encryptionKeys);
  const db = await openDatabase({ url: config.databaseUrl, schema: config.databaseSchema, entities, cipher });
  try {
    await db.migrate();
    await openAuditDays(db);
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

/** After days without a broker, today has no partition yet. One that is busy with a long transaction is left to the job. */
async function openAuditDays(db: Database): Promise<void> {
  await createAuditDays(db).catch((error: unknown) => {
    if (sqlState(error) !== lockNotAvailable) throw error;
  });
}

/** Opens the database and follows its changes; every new connection looks whether it is still the same database. */
export async function openStore(config: StoreConfig, log: Logger): Promise<{ db: Database; feed: Feed }> {
  const db = await openMigrated(config);
  try {
    const feed = await startFeed(db, log, async (client) => {
      await db.endLost(client);
      await checkInstallation(db);
    });
    return { db: guardDatabase(db, feed), feed };
  } catch (error) {
    await db.close();
    throw error;
  }
}
