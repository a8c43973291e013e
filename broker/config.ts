import {
  type Address,
  ConfigError,
  createSettingsReader,
  type Environment,
  integerBetween,
  type LogLevel,
  logLevels,
  parseAddress,
  parseList,
  parseOneOf,
  withConfigFile,
} from '../client/settings.ts';
import manifest from '../package.json' with { type: 'json' };

/** Everything the broker reads from its environment, read once. */
export interface Config {
  readonly databaseUrl: string;
  readonly databaseSchema: string;
  readonly listen: Address;
  readonly metricsListen: Address;
  readonly adminPakFile: string | undefined;
  readonly tls:
    | { readonly certFile: string; readonly keyFile: string; readonly clientCaFile: string | undefined }
    | undefined;
  readonly corsOrigins: readonly string[];
  /** The first encrypts, all decrypt; none: manifests are kept plain. Secrets: never logged. */
  readonly encryptionKeys: readonly Buffer[];
  /** Proxies in front of the broker whose X-Forwarded-For is believed. */
  readonly trustedProxies: number;
  /** How long Kubernetes events and pod logs are kept; 0: they only reach those who follow them. */
  readonly telemetryRetentionMs: number;
  /** Threads that parse submissions. */
  readonly workers: number;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
  /** Of this program; told by WhoAmI. */
  readonly version: string;
}

/** What one caller, or all of them, may have at a time. */
export interface Limits {
  /** Unary calls that are worked on. */
  readonly callsAtOnce: number;
  /** Calls of one key that wait for their turn. */
  readonly callsWaiting: number;
  /** Submissions whose manifests are read. */
  readonly submissionsAtOnce: number;
  readonly streamsPerKey: number;
}

/** The variables, for help texts and documents. */
export const variables = {
  BROKKR_DATABASE_URL: 'PostgreSQL, for example postgres://user:password@host:5432/brokkr (required)',
  BROKKR_DATABASE_SCHEMA: 'schema for the tables (default brokkr)',
  BROKKR_LISTEN: 'address of gRPC, gRPC-Web and Connect (default 0.0.0.0:3000)',
  BROKKR_METRICS_LISTEN: 'address of /metrics (default 0.0.0.0:9090)',
  BROKKR_ADMIN_PAK_FILE: 'where the first admin key is written, mode 0600',
  BROKKR_ENCRYPTION_KEY:
    'keys for manifests at rest: 32 bytes in base64 each, separated by commas; the first encrypts (default none)',
  BROKKR_TLS_CERT: 'certificate file (PEM); with BROKKR_TLS_KEY turns TLS on',
  BROKKR_TLS_KEY: 'private key file (PEM)',
  BROKKR_TLS_CLIENT_CA: 'CA file (PEM); with it clients need a certificate (mTLS)',
  BROKKR_CORS_ORIGINS: 'origins that browsers may call from, separated by commas (default none)',
  BROKKR_TRUSTED_PROXIES: 'how many proxies stand in front, whose X-Forwarded-For is believed (default 0)',
  BROKKR_TELEMETRY_RETENTION:
    'how long Kubernetes events and pod logs are kept, such as 30m or 24h, at most 168h; 0 for live tails only (default 6h)',
  BROKKR_WORKERS: 'threads that parse submissions (default 1)',
  BROKKR_CALLS_AT_ONCE: 'calls that are worked on at once; of one key, three quarters of them (default 16)',
  BROKKR_CALLS_WAITING: 'calls of one key that may wait for their turn (default 500)',
  BROKKR_SUBMISSIONS_AT_ONCE: 'submissions that are read at once; of one key, a quarter of them (default 16)',
  BROKKR_STREAMS_PER_KEY: 'streams that one key, or one address without a key, may have open (default 100)',
  BROKKR_LOG_LEVEL: `${logLevels.join(', ')} (default info)`,
  BROKKR_CONFIG_FILE:
    'file of such variables, NAME=VALUE a line, which go before the environment; read again at SIGHUP and when it changes (default none)',
} as const;

/** Of this program. */
export const { version } = manifest;

/** Reads the environment, and its BROKKR_CONFIG_FILE. Throws one ConfigError that names every bad variable. */
export function readConfig(environment: Environment): Config {
  const env = withConfigFile(environment, variables);
  const { text, read, problems } = createSettingsReader<keyof typeof variables>(env);
  for (const name of Object.keys(env)) {
    if (name.startsWith('BROKKR_TLS') && !(name in variables))
      problems.push(`${name}: is not a variable of the broker`);
  }
  const databaseUrl = text('BROKKR_DATABASE_URL') ?? '';
  if (databaseUrl === '') problems.push('BROKKR_DATABASE_URL: is required');
  else if (!/^postgres(ql)?:\/\//.test(databaseUrl)) problems.push('BROKKR_DATABASE_URL: must begin with postgres://');
  const cert = text('BROKKR_TLS_CERT');
  const key = text('BROKKR_TLS_KEY');
  const clientCa = text('BROKKR_TLS_CLIENT_CA');
  if ((cert === undefined) !== (key === undefined))
    problems.push('BROKKR_TLS_CERT and BROKKR_TLS_KEY: set both or neither');
  if (clientCa !== undefined && cert === undefined)
    problems.push('BROKKR_TLS_CLIENT_CA: needs BROKKR_TLS_CERT and BROKKR_TLS_KEY');
  const config: Config = {
    databaseUrl,
    databaseSchema: read('BROKKR_DATABASE_SCHEMA', 'brokkr', parseSchema),
    listen: read('BROKKR_LISTEN', '0.0.0.0:3000', parseAddress),
    metricsListen: read('BROKKR_METRICS_LISTEN', '0.0.0.0:9090', parseAddress),
    adminPakFile: text('BROKKR_ADMIN_PAK_FILE'),
    tls: cert !== undefined && key !== undefined ? { certFile: cert, keyFile: key, clientCaFile: clientCa } : undefined,
    corsOrigins: read('BROKKR_CORS_ORIGINS', '', parseList),
    encryptionKeys: read('BROKKR_ENCRYPTION_KEY', '', parseKeys),
    trustedProxies: read('BROKKR_TRUSTED_PROXIES', '0', integerBetween(0, 10)),
    telemetryRetentionMs: read('BROKKR_TELEMETRY_RETENTION', '6h', parseRetention),
    workers: read('BROKKR_WORKERS', '1', integerBetween(1, 64)),
    logLevel: read('BROKKR_LOG_LEVEL', 'info', parseOneOf(logLevels)),
    limits: {
      // About as many as the database answers at once: more would only wait there, and there first come is first served.
      callsAtOnce: read('BROKKR_CALLS_AT_ONCE', '16', integerBetween(1, 1_000)),
      callsWaiting: read('BROKKR_CALLS_WAITING', '500', integerBetween(1, 100_000)),
      submissionsAtOnce: read('BROKKR_SUBMISSIONS_AT_ONCE', '16', integerBetween(1, 1_000)),
      streamsPerKey: read('BROKKR_STREAMS_PER_KEY', '100', integerBetween(1, 100_000)),
    },
    version,
  };
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return config;
}

function parseSchema(value: string): string {
  if (!/^[a-z_][a-z0-9_]{0,40}$/.test(value))
    throw new Error(`"${value}" is not a plain lower-case name of at most 41 characters`);
  return value;
}

/** Keys for AES-256. The message names a key by its place: its text is a secret. */
function parseKeys(value: string): Buffer[] {
  const texts = value.split(',').map((text) => text.trim());
  return texts.flatMap((text, place) => {
    if (text === '') return [];
    const key = Buffer.from(text, 'base64');
    if (key.length !== 32 || !/^[A-Za-z0-9+/]{43}=?$/.test(text))
      throw new Error(`key ${place + 1} is not 32 bytes in base64`);
    // Random bytes repeat a little; a key that was typed, or copied from an example, repeats a lot.
    if (new Set(key).size < 16)
      throw new Error(`key ${place + 1} is not random: make one with "openssl rand -base64 32"`);
    return [key];
  });
}

const unitMs = { m: 60_000, h: 3_600_000 } as const;
const longestRetentionMs = 168 * unitMs.h;

function parseRetention(value: string): number {
  const match = /^([0-9]{1,6})(m|h)$/.exec(value);
  const ms = value === '0' ? 0 : match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number.NaN;
  if (!(ms <= longestRetentionMs)) throw new Error(`"${value}" is not a time up to 168h, such as 30m or 6h, or 0`);
  return ms;
}
