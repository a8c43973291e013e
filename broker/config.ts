import { totalmem } from 'node:os';
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

/** The broker's settings, read from its environment. */
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
  /** The first one encrypts, all decrypt; without any, data is stored in plain text. They are secrets and never logged. */
  readonly encryptionKeys: readonly Buffer[];
  /** Number of proxies in front of the broker whose X-Forwarded-For is trusted. */
  readonly trustedProxies: number;
  /** Retention of Kubernetes events and pod logs; with 0 only live tails receive them. */
  readonly telemetryRetentionMs: number;
  /** Threads that parse submissions. */
  readonly workers: number;
  /** Memory that the broker may use, in bytes. */
  readonly memoryBytes: number;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
  /** Version of this program, which WhoAmI returns. */
  readonly version: string;
}

/** Limits for one caller, or for all of them together, at a time. */
export interface Limits {
  /** Unary calls that run. */
  readonly callsAtOnce: number;
  /** Calls of one key that wait for their turn. */
  readonly callsWaiting: number;
  /** Submissions whose manifests are parsed. */
  readonly submissionsAtOnce: number;
  readonly streamsPerKey: number;
}

/** Describes the variables, for help texts and the documentation. */
export const variables = {
  BROKKR_DATABASE_URL: 'PostgreSQL, for example postgres://user:password@host:5432/brokkr (required)',
  BROKKR_DATABASE_SCHEMA: 'schema for the tables (default brokkr)',
  BROKKR_LISTEN: 'address of gRPC, gRPC-Web and Connect (default 0.0.0.0:3000)',
  BROKKR_METRICS_LISTEN: 'address of /metrics (default 0.0.0.0:9090)',
  BROKKR_ADMIN_PAK_FILE: 'file for the first admin key, created with mode 0600',
  BROKKR_ENCRYPTION_KEY:
    'keys for data at rest: 32 bytes in base64 each, separated by commas; the first encrypts, all decrypt (default none)',
  BROKKR_TLS_CERT: 'certificate file (PEM); together with BROKKR_TLS_KEY it turns TLS on',
  BROKKR_TLS_KEY: 'private key file (PEM)',
  BROKKR_TLS_CLIENT_CA: 'CA file (PEM); with it, clients must present a certificate (mTLS)',
  BROKKR_CORS_ORIGINS: 'origins whose pages may call the broker from a browser, separated by commas (default none)',
  BROKKR_TRUSTED_PROXIES: 'number of proxies in front of the broker whose X-Forwarded-For is trusted (default 0)',
  BROKKR_TELEMETRY_RETENTION:
    'how long Kubernetes events and pod logs are kept, such as 30m or 24h, at most 168h; 0 for live tails only (default 6h)',
  BROKKR_WORKERS: 'threads that parse submissions (default 1)',
  BROKKR_MEMORY:
    'memory that the broker may use, such as 512Mi or 2Gi; limits of requests follow from it (default: what the container or the machine has)',
  BROKKR_CALLS_AT_ONCE: 'calls that run at the same time; one key may have three quarters of them (default 16)',
  BROKKR_CALLS_WAITING: 'calls of one key that may wait for their turn (default 500)',
  BROKKR_SUBMISSIONS_AT_ONCE:
    'submissions that are parsed at the same time; one key may have a quarter of them (default 16)',
  BROKKR_STREAMS_PER_KEY: 'open streams of one key, or of one address without a key (default 100)',
  BROKKR_LOG_LEVEL: `${logLevels.join(', ')} (default info)`,
  BROKKR_CONFIG_FILE:
    'file of such variables, one NAME=VALUE per line, which override the environment; read again at SIGHUP and when it changes (default none)',
} as const;

/** Version of this program. */
export const { version } = manifest;

/** Reads the environment and its BROKKR_CONFIG_FILE. Throws one ConfigError that names every invalid variable. */
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
    memoryBytes: read('BROKKR_MEMORY', `${availableMemoryMi()}Mi`, parseMemory),
    logLevel: read('BROKKR_LOG_LEVEL', 'info', parseOneOf(logLevels)),
    limits: {
      // About as many as the database runs at once. More would only wait there, where callers do not take turns.
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

/** Parses keys for AES-256. Messages name a key by its position, because its text is a secret. */
function parseKeys(value: string): Buffer[] {
  const texts = value.split(',').map((text) => text.trim());
  return texts.flatMap((text, index) => {
    if (text === '') return [];
    const key = Buffer.from(text, 'base64');
    if (key.length !== 32 || !/^[A-Za-z0-9+/]{43}=?$/.test(text))
      throw new Error(`key ${index + 1} is not 32 bytes in base64`);
    // Few of 32 random bytes repeat; many repeat in a key that was typed or copied from an example.
    if (new Set(key).size < 16)
      throw new Error(`key ${index + 1} is not random: make one with "openssl rand -base64 32"`);
    return [key];
  });
}

const memoryUnits = { Mi: 2 ** 20, Gi: 2 ** 30 } as const;
const minMemoryBytes = 128 * memoryUnits.Mi;

function parseMemory(value: string): number {
  const match = /^([0-9]{1,7})(Mi|Gi)$/.exec(value);
  const bytes = match ? Number(match[1]) * memoryUnits[match[2] as keyof typeof memoryUnits] : Number.NaN;
  if (!(bytes >= minMemoryBytes)) throw new Error(`"${value}" is not at least 128Mi, such as 512Mi or 2Gi`);
  return bytes;
}

/** Returns the limit of the control group, or the machine's memory when there is none or it is larger, in MiB. */
function availableMemoryMi(): number {
  const bytes = Math.min(process.constrainedMemory() || Number.POSITIVE_INFINITY, totalmem());
  return Math.floor(Math.max(bytes, minMemoryBytes) / memoryUnits.Mi);
}

const unitMs = { m: 60_000, h: 3_600_000 } as const;
const maxRetentionMs = 168 * unitMs.h;

function parseRetention(value: string): number {
  const match = /^([0-9]{1,6})(m|h)$/.exec(value);
  const ms = value === '0' ? 0 : match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number.NaN;
  if (!(ms <= maxRetentionMs)) throw new Error(`"${value}" is not a time up to 168h, such as 30m or 6h, or 0`);
  return ms;
}
