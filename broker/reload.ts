import type { Logger } from 'pino';
import { type RestartSettings, reloadConfig } from '../client/reload.ts';
import type { Config } from './config.ts';

/** What a broker is given once. Everything else of its configuration it looks up when it needs it. */
const fixed: RestartSettings<Config> = {
  BROKKR_DATABASE_URL: ({ databaseUrl }) => databaseUrl,
  BROKKR_DATABASE_SCHEMA: ({ databaseSchema }) => databaseSchema,
  BROKKR_LISTEN: ({ listen }) => listen,
  BROKKR_METRICS_LISTEN: ({ metricsListen }) => metricsListen,
  BROKKR_ENCRYPTION_KEY: ({ encryptionKeys }) => encryptionKeys,
  BROKKR_WORKERS: ({ workers }) => workers,
  // Other files are taken up; a port does not change between clear text, TLS and mTLS.
  BROKKR_TLS_CERT: ({ tls }) => tls !== undefined,
  BROKKR_TLS_CLIENT_CA: ({ tls }) => tls?.clientCaFile !== undefined,
};

/** The configuration as it is now, and how the last reading of it went. */
export interface Live {
  readonly config: Config;
  readonly isGood: boolean;
  /** When it was last read and used, in milliseconds since 1970. */
  readonly readAt: number;
  /** Reads it again; false when it cannot be used, and nothing has changed. */
  reload(read: () => Config): boolean;
}

/** Holds the configuration for those that look it up. */
export function holdConfig(first: Config, log: Logger): Live {
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
      const next = reloadConfig(config, read, fixed, log);
      isGood = next !== undefined;
      if (!next) return false;
      readAt = Date.now();
      if (next.logLevel !== config.logLevel) log.level = next.logLevel;
      config = next;
      return true;
    },
  };
}
