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

/** Everything the agent reads from its environment, read once. */
export interface Config {
  readonly brokerUrl: string;
  /** Its key; undefined for an agent that enrolls. A secret: never logged. */
  readonly pak: string | undefined;
  /** How an agent without a key gets one. */
  readonly enrollment: Enrollment;
  /** Longest time between two pulls; the real one is jittered below it. */
  readonly pullIntervalMs: number;
  /** Where the inventory lives. */
  readonly namespace: string;
  /** When set, nothing outside of this namespace is touched. */
  readonly watchNamespace: string | undefined;
  /** Generators to register with at the start. */
  readonly generators: readonly string[];
  readonly healthListen: Address;
  /** Where manifests are cached; undefined means a new folder that ends with the process. */
  readonly stateDir: string | undefined;
  /** Undefined means the pod's service account. */
  readonly kubeconfigFile: string | undefined;
  /** Where a pod finds its cluster's API; undefined outside of one. */
  readonly kubeService: string | undefined;
  readonly kubeContext: string | undefined;
  readonly tls: {
    readonly caFile: string | undefined;
    readonly certFile: string | undefined;
    readonly keyFile: string | undefined;
    /** Of certificates, one of which the broker has to show. */
    readonly caFingerprints: readonly string[] | undefined;
  };
  /** Whether several agents stand by for each other, of which one acts. */
  readonly election: boolean;
  /** What of the cluster's own words is told to the broker. */
  readonly telemetry: TelemetryLevel;
  /** More deletions than this at once wait for a confirmation. */
  readonly maxDeletions: number;
  readonly logLevel: LogLevel;
}

export interface Enrollment {
  /** The token of an enrollment. A secret: never logged. */
  readonly token: string | undefined;
  /** The file that it is in. */
  readonly tokenFile: string | undefined;
  /** Name of the Secret, in the agent's namespace, in which the key is kept. */
  readonly secret: string;
}

const telemetryLevels = ['off', 'events', 'all'] as const;
export type TelemetryLevel = (typeof telemetryLevels)[number];

/** The variables, for help texts and documents. */
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
    "SHA-256 fingerprint of the broker's certificate or an authority of it, which has to be there; several with commas (default none)",
  BROKKR_TLS_CERT: 'certificate file (PEM) for a broker that asks for one; needs BROKKR_TLS_KEY',
  BROKKR_TLS_KEY: 'private key file (PEM)',
  BROKKR_ALLOW_CLEARTEXT: 'true lets the key cross a network over plain http (default false)',
  BROKKR_MAX_DELETIONS: 'more deletions than this at once wait for ConfirmRemoval (default 50)',
  BROKKR_REPLICAS: 'how many agents there are for this cluster; with more than 1, one is elected to act (default 1)',
  BROKKR_LEADER_ELECTION: 'true elects one with any number of replicas (default false)',
  BROKKR_TELEMETRY:
    "what is told of the cluster's own words: off, events (Kubernetes events of stacks) or all, with logs of annotated pods (default all)",
  BROKKR_LOG_LEVEL: `${logLevels.join(', ')} (default info)`,
  BROKKR_CONFIG_FILE:
    'file of such variables, NAME=VALUE a line, which go before the environment; read again at SIGHUP and when it changes (default none)',
} as const;

type Name = keyof typeof variables;

const parseCount = integerBetween(0, 1_000_000);

/** Reads the environment, and its BROKKR_CONFIG_FILE. Throws one ConfigError that names every bad variable, and quotes no key. */
export function readConfig(environment: Environment): Config {
  const env = withConfigFile(environment, variables);
  const { text, read, problems } = createSettingsReader<Name>(env);
  const isKnown = (name: string) => name in variables;
  for (const name of Object.keys(env)) {
    if (/^BROKKR_(TLS|PULL|WATCH|KUBE|STATE|HEALTH)/.test(name) && !isKnown(name))
      problems.push(`${name}: is not a variable of the agent`);
  }

  const brokerUrl = text('BROKKR_BROKER_URL');
  if (brokerUrl === undefined) problems.push('BROKKR_BROKER_URL: is required');
  else problems.push(...urlProblems(brokerUrl, read('BROKKR_ALLOW_CLEARTEXT', 'false', parseBoolean)));
  const pak = text('BROKKR_PAK');
  const [token, tokenFile] = [text('BROKKR_ENROLLMENT_TOKEN'), text('BROKKR_ENROLLMENT_TOKEN_FILE')];
  if (pak === undefined) {
    if ([token, tokenFile, text('BROKKR_PAK_SECRET')].every((one) => one === undefined))
      problems.push('BROKKR_PAK: is required, or BROKKR_ENROLLMENT_TOKEN');
    if (token !== undefined && !isEnrollmentToken(token))
      problems.push('BROKKR_ENROLLMENT_TOKEN: is not the token of an enrollment');
  } else if (!/^brokkr_ag[0-9A-Za-z]+_[0-9A-Za-z]+$/.test(pak)) problems.push('BROKKR_PAK: is not the key of an agent');
  const certFile = text('BROKKR_TLS_CERT');
  const keyFile = text('BROKKR_TLS_KEY');
  if ((certFile === undefined) !== (keyFile === undefined))
    problems.push('BROKKR_TLS_CERT and BROKKR_TLS_KEY: set both or neither');
  const caFingerprints = read('BROKKR_CA_FINGERPRINT', '', (value) =>
    value === '' ? undefined : parseFingerprints(value),
  );
  if (caFingerprints !== undefined && brokerUrl?.startsWith('http:'))
    problems.push('BROKKR_CA_FINGERPRINT: needs a broker with https');
  const kubeContext = text('BROKKR_KUBE_CONTEXT');
  const kubeconfigFile = text('KUBECONFIG');
  if (kubeContext !== undefined && kubeconfigFile === undefined) problems.push('BROKKR_KUBE_CONTEXT: needs KUBECONFIG');

  const watchNamespace = text('BROKKR_WATCH_NAMESPACE');
  if (watchNamespace !== undefined)
    read('BROKKR_WATCH_NAMESPACE', watchNamespace, checked(problems, 'BROKKR_WATCH_NAMESPACE'));
  const config: Config = {
    brokerUrl: brokerUrl ?? '',
    pak,
    enrollment: {
      token,
      tokenFile,
      secret: read('BROKKR_PAK_SECRET', 'brokkr-agent-key', checked(problems, 'BROKKR_PAK_SECRET')),
    },
    pullIntervalMs: read('BROKKR_PULL_INTERVAL', '30s', parseInterval),
    namespace: read('BROKKR_NAMESPACE', watchNamespace ?? 'brokkr', checked(problems, 'BROKKR_NAMESPACE')),
    watchNamespace,
    generators: read('BROKKR_GENERATORS', '', parseList),
    healthListen: read('BROKKR_HEALTH_LISTEN', '0.0.0.0:8080', parseAddress),
    stateDir: text('BROKKR_STATE_DIR'),
    kubeconfigFile,
    kubeService: podService(env),
    kubeContext,
    tls: { caFile: text('BROKKR_TLS_CA'), certFile, keyFile, caFingerprints },
    election: read('BROKKR_REPLICAS', '1', parseCount) > 1 || read('BROKKR_LEADER_ELECTION', 'false', parseBoolean),
    maxDeletions: read('BROKKR_MAX_DELETIONS', '50', parseCount),
    telemetry: read('BROKKR_TELEMETRY', 'all', parseOneOf(telemetryLevels)),
    logLevel: read('BROKKR_LOG_LEVEL', 'info', parseOneOf(logLevels)),
  };
  if (problems.length > 0) throw new ConfigError([...new Set(problems)].join('\n'));
  return config;
}

/** The name of a namespace or a Secret; what is wrong with it is noted rather than thrown, since there may be no better one to fall back to. */
function checked(problems: string[], name: Name): (value: string) => string {
  return (value) => {
    if (!/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(value))
      problems.push(`${name}: "${value}" is not a name of Kubernetes`);
    return value;
  };
}

/** Whether a text looks like the token of an enrollment. */
export function isEnrollmentToken(text: string): boolean {
  return /^brokkr_en[0-9A-Za-z]+_[0-9A-Za-z]+$/.test(text);
}

/** From the variables that every pod has. */
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

/** "500ms", "30s", "10m" or "1h", from 100 ms to 24 h. */
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

/** What an agent is given once. Everything else of its configuration it looks up when it needs it. */
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
  // Of the files, what is in them is taken up by each new connection.
  BROKKR_TLS_CA: ({ tls }) => tls.caFile,
  BROKKR_TLS_CERT: ({ tls }) => tls.certFile,
  BROKKR_TLS_KEY: ({ tls }) => tls.keyFile,
  BROKKR_REPLICAS: ({ election }) => election,
};
