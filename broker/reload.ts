import type { Logger } from 'pino';
import { type RestartSettings, reloadConfig } from '../client/reload.ts';
import type { Config } from './config.ts';

/** The settings that take effect only at a restart. All others are looked up when they are needed. */
const restartSettings: RestartSettings<Config> = {
  BROKKR_DATABASE_URL: ({ databaseUrl }) => databaseUrl,
  BROKKR_DATABASE_SCHEMA: ({ databaseSchema }) => databaseSchema,
  BROKKR_LISTEN: ({ listen }) => listen,
  BROKKR_METRICS_LISTEN: ({ metricsListen }) => metricsListen,
  BROKKR_ENCRYPTION_KEY: ({ encryptionKeys }) => encryptionKeys,
  BROKKR_WORKERS: ({ workers }) => workers,
  // Other certificate files take effect; a port does not change between clear text, TLS and mTLS.
  BROKKR_TLS_CERT: ({ tls }) => tls !== undefined,
  BROKKR_TLS_CLIENT_CA: ({ tls }) => tls?.clientCaFile !== undefined,
};

/** The current configuration, and the result of its last reload. */
export interface LiveConfig {
  readonly config: Config;
  /** False when the last reload failed. */
  readonly isGood: boolean;
  /** When it was last read successfully, in milliseconds since 1970. */
  readonly readAt: number;
  /** Reads it again. Returns false, with nothing changed, when it is invalid. */
  reload(read: () => Config): boolean;
}

export function createLiveConfig(first: Config, log: Logger): LiveConfig {
  let config = first;
  let isGood = true;
  let readAt = Date.now();
  return {
    get config() {
      return config;
    },
    get isGood() {
      return isGood;
    },
    get readAt() {
      return readAt;
    },
    reload(read) {
      const next = reloadConfig(config, read, restartSettings, log);
      isGood = next !== undefined;
      if (!next) return false;
      readAt = Date.now();
      if (next.logLevel !== config.logLevel) log.level = next.logLevel;
      config = next;
      return true;
    },
  };
}
