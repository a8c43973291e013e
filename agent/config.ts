import { isCleartext } from '../client/client.ts';
import { parseFingerprints } from '../client/pin.ts';
import type { RestartSettings } from '../client/reload.ts';
import {
  type Address,
  bracketIpv6,
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
import { type Enrollment, isEnrollmentToken } from './broker/enrollment-token.ts';
import { type TelemetryLevel, telemetryLevels } from './telemetry/level.ts';

/** The agent's configuration. It is read once from the environment, and again when its file changes. */
export interface Config {
  readonly brokerUrl: string;
  /** The agent's key; undefined for an agent that enrolls. A secret: never logged. */
  readonly pak: string | undefined;
  /** Used by an agent without a key to obtain one. */
  readonly enrollment: Enrollment;
  /** Longest time between two pulls in milliseconds; each wait is jittered below it. */
  readonly pullIntervalMs: number;
  /** Namespace of the inventory. */
  readonly namespace: string;
  /** Limits the agent to this namespace. */
  readonly watchNamespace: string | undefined;
  /** Generators to register with at the start. */
  readonly generators: readonly string[];
  readonly healthListen: Address;
  /** Folder of cached manifests; undefined for a new one that is removed at the end. */
  readonly stateDir: string | undefined;
  /** Undefined for the pod's service account. */
  readonly kubeconfigFile: string | undefined;
  /** Address of the cluster's API inside a pod; undefined outside of one. */
  readonly kubeService: string | undefined;
  readonly kubeContext: string | undefined;
  readonly tls: {
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    /** SHA-256 fingerprints of certificates; the broker has to present one of them. */
    readonly caFingerprints: readonly string[] | undefined;
  };
  /** True when several agents run, of which an elected one acts. */
  readonly election: boolean;
  /** Kubernetes events and logs that the broker gets. */
  readonly telemetry: TelemetryLevel;
  /** A pass that would delete more objects than this waits for a confirmation. */
  readonly maxDeletions: number;
  readonly logLevel: LogLevel;
}

/** The variables and what they are for, as help and documentation show them. */
export const variables = {
  BROKKR_BROKER_URL: 'the broker, for example https://broker.example.org (required)',
  BROKKR_PAK: "the agent's key (required, unless it enrolls)",
  BROKKR_ENROLLMENT_TOKEN: 'token with which an agent without a key enrolls, once (default none)',
  BROKKR_ENROLLMENT_TOKEN_FILE: 'file with that token, read again at each try (default none)',
  BROKKR_PAK_SECRET: 'Secret in which an agent that has enrolled keeps its key (default brokkr-agent-key)',
  BROKKR_PULL_INTERVAL: 'longest time between two pulls, such as 30s, 10m or 1h (default 30s)',
  BROKKR_NAMESPACE: 'namespace of the inventory (default brokkr, or the watched namespace)',
  BROKKR_WATCH_NAMESPACE: 'limits the agent to one namespace (default: the whole cluster)',
  BROKKR_GENERATORS: 'generators to register with at the start, separated by commas (default none)',
  BROKKR_HEALTH_LISTEN: 'address of /healthz, /readyz and /metrics (default 0.0.0.0:8080)',
  BROKKR_STATE_DIR: 'folder in which manifests are cached (default: a new one, removed at the end)',
  KUBECONFIG: "kubeconfig file (default: the pod's service account)",
  BROKKR_KUBE_CONTEXT: 'context of the kubeconfig (default: its current one)',
  BROKKR_TLS_CA: "CA file (PEM), when the system does not trust the broker's certificate",
  BROKKR_CA_FINGERPRINT:
    "SHA-256 fingerprint of the broker's certificate or of an authority in its chain, which it has to present; several separated by commas (default none)",
  BROKKR_TLS_CERT: 'certificate file (PEM) for a broker that asks for one; needs BROKKR_TLS_KEY',
  BROKKR_TLS_KEY: 'private key file (PEM)',
  BROKKR_ALLOW_CLEARTEXT: 'true lets the key cross a network over plain http (default false)',
  BROKKR_MAX_DELETIONS: 'more deletions than this at once wait for ConfirmRemoval (default 50)',
  BROKKR_REPLICAS: 'how many agents there are for this cluster; with more than 1, one is elected to act (default 1)',
  BROKKR_LEADER_ELECTION: 'true elects one agent even with a single replica (default false)',
  BROKKR_TELEMETRY:
    'telemetry for the broker: off, events (Kubernetes events of stacks) or all, with the logs of annotated pods (default all)',
  BROKKR_LOG_LEVEL: `${logLevels.join(', ')} (default info)`,
  BROKKR_CONFIG_FILE:
    'file of such variables, one NAME=VALUE a line, which override the environment; read again at SIGHUP and when it changes (default none)',
} as const;

type Name = keyof typeof variables;

const parseCount = integerBetween(0, 1_000_000);

type Settings = ReturnType<typeof createSettingsReader<Name>>;

/** Reads the environment, and its BROKKR_CONFIG_FILE. Throws one ConfigError that names every bad variable, and quotes no key. */
export function readConfig(environment: Environment): Config {
  const env = withConfigFile(environment, variables);
  const settings = createSettingsReader<Name>(env);
  const { text, read, problems } = settings;
  for (const name of Object.keys(env)) {
    if (/^BROKKR_(TLS|PULL|WATCH|KUBE|STATE|HEALTH)/.test(name) && !(name in variables))
      problems.push(`${name}: is not a variable of the agent`);
  }
  const brokerUrl = readBrokerUrl(settings);
  const { pak, enrollment } = readKey(settings);
  const tls = readTls(settings, brokerUrl);
  const { kubeContext, kubeconfigFile } = readKubeconfig(settings);
  const watchNamespace = text('BROKKR_WATCH_NAMESPACE');
  if (watchNamespace !== undefined)
    read('BROKKR_WATCH_NAMESPACE', watchNamespace, objectName(problems, 'BROKKR_WATCH_NAMESPACE'));
  const config: Config = {
    brokerUrl,
    pak,
    enrollment,
    pullIntervalMs: read('BROKKR_PULL_INTERVAL', '30s', parseInterval),
    namespace: read('BROKKR_NAMESPACE', watchNamespace ?? 'brokkr', objectName(problems, 'BROKKR_NAMESPACE')),
    watchNamespace,
    generators: read('BROKKR_GENERATORS', '', parseList),
    healthListen: read('BROKKR_HEALTH_LISTEN', '0.0.0.0:8080', parseAddress),
    stateDir: text('BROKKR_STATE_DIR'),
    kubeconfigFile,
    kubeService: podService(env),
    kubeContext,
    tls,
    election: read('BROKKR_REPLICAS', '1', parseCount) > 1 || read('BROKKR_LEADER_ELECTION', 'false', parseBoolean),
    maxDeletions: read('BROKKR_MAX_DELETIONS', '50', parseCount),
    telemetry: read('BROKKR_TELEMETRY', 'all', parseOneOf(telemetryLevels)),
    logLevel: read('BROKKR_LOG_LEVEL', 'info', parseOneOf(logLevels)),
  };
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join('\n'));
  return config;
}

function readBrokerUrl({ text, read, problems }: Settings): string {
  const url = text('BROKKR_BROKER_URL');
  if (url === undefined) problems.push('BROKKR_BROKER_URL: is required');
  else problems.push(...urlProblems(url, read('BROKKR_ALLOW_CLEARTEXT', 'false', parseBoolean)));
  return url ?? '';
}

function readKey({ text, read, problems }: Settings): Pick<Config, 'pak' | 'enrollment'> {
  const pak = text('BROKKR_PAK');
  const [token, tokenFile] = [text('BROKKR_ENROLLMENT_TOKEN'), text('BROKKR_ENROLLMENT_TOKEN_FILE')];
  if (pak === undefined) {
    if ([token, tokenFile, text('BROKKR_PAK_SECRET')].every((value) => value === undefined))
      problems.push('BROKKR_PAK: is required, or BROKKR_ENROLLMENT_TOKEN');
    if (token !== undefined && !isEnrollmentToken(token))
      problems.push('BROKKR_ENROLLMENT_TOKEN: is not the token of an enrollment');
  } else if (!/^brokkr_ag[0-9A-Za-z]+_[0-9A-Za-z]+$/.test(pak)) problems.push('BROKKR_PAK: is not the key of an agent');
  const secret = read('BROKKR_PAK_SECRET', 'brokkr-agent-key', objectName(problems, 'BROKKR_PAK_SECRET'));
  return { pak, enrollment: { token, tokenFile, secret } };
}

function readTls({ text, read, problems }: Settings, brokerUrl: string): Config['tls'] {
  const certFile = text('BROKKR_TLS_CERT');
  const keyFile = text('BROKKR_TLS_KEY');
  if ((certFile === undefined) !== (keyFile === undefined))
    problems.push('BROKKR_TLS_CERT and BROKKR_TLS_KEY: set both or neither');
  const caFingerprints = read('BROKKR_CA_FINGERPRINT', '', (value) =>
    value === '' ? undefined : parseFingerprints(value),
  );
  if (caFingerprints !== undefined && brokerUrl.startsWith('http:'))
    problems.push('BROKKR_CA_FINGERPRINT: needs a broker with https');
  return { caFile: text('BROKKR_TLS_CA'), certFile, keyFile, caFingerprints };
}

function readKubeconfig({ text, problems }: Settings): Pick<Config, 'kubeContext' | 'kubeconfigFile'> {
  const kubeContext = text('BROKKR_KUBE_CONTEXT');
  const kubeconfigFile = text('KUBECONFIG');
  if (kubeContext !== undefined && kubeconfigFile === undefined) problems.push('BROKKR_KUBE_CONTEXT: needs KUBECONFIG');
  return { kubeContext, kubeconfigFile };
}

/** Parses the name of a namespace or a Secret. A bad name is noted rather than thrown, since it is also the default of other variables. */
function objectName(problems: string[], name: Name): (value: string) => string {
  return (value) => {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value))
      problems.push(`${name}: "${value}" is not a name of Kubernetes`);
    return value;
  };
}

/** Reads the API server's address from the variables that Kubernetes sets in every pod; undefined outside of one. */
function podService(env: Environment): string | undefined {
  const host = env.KUBERNETES_SERVICE_HOST;
  if (!host) return undefined;
  return `https://${bracketIpv6(host)}:${env.KUBERNETES_SERVICE_PORT || '443'}`;
}

function urlProblems(url: string, cleartextAllowed: boolean): string[] {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    return ['BROKKR_BROKER_URL: must be like https://broker.example.org'];
  if (!cleartextAllowed && isCleartext(url))
    return ['BROKKR_BROKER_URL: would send the key in clear text; use https, or set BROKKR_ALLOW_CLEARTEXT=true'];
  return [];
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** Parses "500ms", "30s", "10m" or "1h", from 100 ms to 24 h, into milliseconds. */
function parseInterval(value: string): number {
  const match = /^([0-9]{1,8})(ms|s|m|h)$/.exec(value);
  const ms = match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : Number.NaN;
  if (!(ms >= 100 && ms <= 24 * unitMs.h))
    throw new Error(`"${value}" is not a time from 100ms to 24h, such as 30s or 10m`);
  return ms;
}

function parseBoolean(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new Error(`"${value}" is neither true nor false`);
  return value === 'true';
}

/** The settings that need a restart. All others are read again whenever they are used. */
export const fixed: RestartSettings<Config> = {
  BROKKR_BROKER_URL: ({ brokerUrl }) => brokerUrl,
  BROKKR_PAK: ({ pak }) => pak,
  BROKKR_NAMESPACE: ({ namespace }) => namespace,
  BROKKR_WATCH_NAMESPACE: ({ watchNamespace }) => watchNamespace,
  BROKKR_GENERATORS: ({ generators }) => generators,
  BROKKR_HEALTH_LISTEN: ({ healthListen }) => healthListen,
  BROKKR_STATE_DIR: ({ stateDir }) => stateDir,
  KUBECONFIG: ({ kubeconfigFile }) => kubeconfigFile,
  BROKKR_KUBE_CONTEXT: ({ kubeContext }) => kubeContext,
  // A changed file name needs a restart; changed contents are used by each new connection.
  BROKKR_TLS_CA: ({ tls }) => tls.caFile,
  BROKKR_TLS_CERT: ({ tls }) => tls.certFile,
  BROKKR_TLS_KEY: ({ tls }) => tls.keyFile,
  BROKKR_REPLICAS: ({ election }) => election,
};
