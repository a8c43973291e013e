import type { Logger } from 'pino';
import { entities as accessEntities } from '../access/store.ts';
import { entities as agentEntities } from '../agent/store.ts';
import type { Config } from '../config.ts';
import { entities as deploymentEntities } from '../deployment/store.ts';
import { entities as eventEntities } from '../event/store.ts';
import { entities as generatorEntities } from '../generator/store.ts';
import { entities as placementEntities } from '../placement/store.ts';
import { entities as stackEntities } from '../stack/store.ts';
import { type Feed, startFeed } from './feed.ts';
import { guardDatabase } from './guard.ts';
import { checkInstallation } from './installation.ts';
import { type Database, openDatabase } from './orm.ts';

const entities = [
  ...accessEntities,
  ...agentEntities,
  ...deploymentEntities,
  ...eventEntities,
  ...generatorEntities,
  ...placementEntities,
  ...stackEntities,
];

/** Opens the database and brings its schema up to date. */
export async function openMigrated(config: Pick<Config, 'databaseUrl' | 'databaseSchema'>): Promise<Database> {
  const db = await openDatabase({ url: config.databaseUrl, schema: config.databaseSchema, entities });
  try {
    await db.migrate();
    await checkInstallation(db);
    return db;
  } catch (error) {
    await db.close();
    throw error;
  }
}

/** Opens the database and follows its changes; every new connection looks whether it is still the same database. */
export async function openStore(
  config: Pick<Config, 'databaseUrl' | 'databaseSchema'>,
  log: Logger,
): Promise<{ db: Database; feed: Feed }> {
  const db = await openMigrated(config);
  try {
    const feed = await startFeed(db, log, async () => {
      await checkInstallation(db);
    });
    return { db: guardDatabase(db, feed), feed };
  } catch (error) {
    await db.close();
    throw error;
  }
}
