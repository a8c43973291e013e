import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { parse as parseYaml } from 'yaml';

export interface StartOptions {
  readonly host: string;
  /** 0 selects a free port. */
  readonly port: number;
  readonly dataDir: string;
  /** An existing PostgreSQL; undefined selects the embedded one. */
  readonly databaseUrl: string | undefined;
  /** Number of agents, each with a simulated cluster. */
  readonly agents: number;
  /** A real cluster, for one agent, instead of simulated ones. */
  readonly cluster: { readonly kubeconfigFile: string; readonly context: string } | undefined;
}

/** An error that the user can correct, explained in one line. */
export class StartError extends Error {
  override readonly name = 'StartError';
  /** 2 when the command line itself is wrong. */
  readonly exitCode: 1 | 2;

  constructor(message: string, { exitCode = 1, cause }: { exitCode?: 1 | 2; cause?: unknown } = {}) {
    super(message, { cause });
    this.exitCode = exitCode;
  }
}

const MAX_AGENTS = 5_000;
const usageError = { exitCode: 2 } as const;

export const help = `Usage: npm start -- [options]

Runs everything on this machine: PostgreSQL, the broker, and agents with simulated clusters.

  --port N             port of the broker (default 3000)
  --host ADDRESS       address it listens on (default 127.0.0.1)
  --agents N           agents, each with a simulated cluster of its own (default 1)
  --kubeconfig FILE    one agent on this real cluster instead
  --context NAME       context of the kubeconfig (default: its current one)
  --database-url URL   an existing PostgreSQL (default: BROKKR_DATABASE_URL, else an embedded one)
  --data-dir FOLDER    where everything is kept (default .brokkr)
  --help               this text
`;

/**
 * Reads the command line. Returns undefined when only the help text is wanted; throws a StartError that explains what
 * is wrong.
 */
export function readOptions(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): StartOptions | undefined {
  const values = parseArguments(args);
  if (values.help) return undefined;
  const databaseUrl = values['database-url'] || env.BROKKR_DATABASE_URL || undefined;
  if (databaseUrl !== undefined && !/^postgres(ql)?:\/\/\S+$/.test(databaseUrl))
    throw new StartError('--database-url: must begin with postgres://', usageError);
  if (values.context !== undefined && values.kubeconfig === undefined)
    throw new StartError('--context: needs --kubeconfig', usageError);
  if (values.kubeconfig !== undefined && values.agents !== undefined)
    throw new StartError(
      '--agents: a real cluster has one agent; leave out --kubeconfig for simulated clusters',
      usageError,
    );
  if (values.host === '') throw new StartError('--host: must not be empty', usageError);
  return {
    host: values.host ?? '127.0.0.1',
    port: parseNumber('--port', values.port ?? '3000', 0, 65_535),
    // npm runs scripts in the project's folder, wherever it was called.
    dataDir: resolve(env.INIT_CWD ?? '.', values['data-dir'] ?? join(import.meta.dirname, '../../.brokkr')),
    databaseUrl,
    agents: parseNumber('--agents', values.agents ?? '1', 1, MAX_AGENTS),
    cluster: values.kubeconfig === undefined ? undefined : readCluster(env, values.kubeconfig, values.context),
  };
}

function parseArguments(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: 'string' },
        host: { type: 'string' },
        agents: { type: 'string' },
        kubeconfig: { type: 'string' },
        context: { type: 'string' },
        'database-url': { type: 'string' },
        'data-dir': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    const [message = ''] = (error as Error).message.split(/\. To specify|\. Did you mean/);
    throw new StartError(`${message}; see npm start -- --help`, usageError);
  }
}

function parseNumber(option: string, value: string, least: number, highest: number): number {
  const number = /^\d{1,6}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= least && number <= highest))
    throw new StartError(`${option}: "${value}" is not a number from ${least} to ${highest}`, usageError);
  return number;
}

/** Checks that the file is usable before anything is started. */
function readCluster(env: Readonly<Record<string, string | undefined>>, file: string, wanted: string | undefined) {
  const kubeconfigFile = resolve(env.INIT_CWD ?? '.', file);
  let config: Kubeconfig;
  try {
    config = (parseYaml(readFileSync(kubeconfigFile, 'utf8')) ?? {}) as Kubeconfig;
  } catch (error) {
    const [why = ''] = (error as Error).message.split('\n');
    throw new StartError(`--kubeconfig: ${kubeconfigFile} cannot be read: ${why}`);
  }
  const contexts = namedEntries(config.contexts);
  const context = wanted ?? String(config['current-context'] ?? '');
  const found = contexts.find(({ name }) => name === context);
  if (!found) {
    const known = contexts.map(({ name }) => name).join(', ') || 'none';
    throw new StartError(`--kubeconfig: ${kubeconfigFile} has no context "${context}"; it has ${known}`);
  }
  const cluster = found.context?.cluster;
  if (!namedEntries(config.clusters).some(({ name }) => name === cluster))
    throw new StartError(`--kubeconfig: ${kubeconfigFile} has no cluster "${cluster ?? ''}" for context "${context}"`);
  return { kubeconfigFile, context };
}

interface Kubeconfig {
  readonly 'current-context'?: unknown;
  readonly contexts?: unknown;
  readonly clusters?: unknown;
}

interface NamedEntry {
  readonly name: string;
  readonly context?: { readonly cluster?: string };
}

function namedEntries(list: unknown): NamedEntry[] {
  return Array.isArray(list) ? list.filter((entry): entry is NamedEntry => typeof entry?.name === 'string') : [];
}
