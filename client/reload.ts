import { readFileSync } from 'node:fs';
import { isDeepStrictEqual, parseEnv } from 'node:util';
import type { Logger } from 'pino';

type Environment = Readonly<Record<string, string | undefined>>;

const lookEveryMs = 5_000;

/**
 * The environment, with what its BROKKR_CONFIG_FILE says instead: a variable a line, NAME=VALUE, with # before comments. Throws one
 * line for each that is not a variable, and quotes no value.
 */
export function withConfigFile(env: Environment, variables: Readonly<Record<string, string>>): Environment {
  const file = env.BROKKR_CONFIG_FILE;
  if (!file) return env;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`BROKKR_CONFIG_FILE: ${(error as Error).message}`);
  }
  const problems = text.split('\n').flatMap((line, at) => {
    const [, name] = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=/.exec(line) ?? [];
    if (/^\s*(#|$)/.test(line)) return [];
    if (name === undefined) return [`${file} line ${at + 1}: is not NAME=VALUE`];
    if (name === 'BROKKR_CONFIG_FILE' || !(name in variables))
      return [`${file} line ${at + 1}: ${name} is not a variable that can stand here`];
    return [];
  });
  if (problems.length > 0) throw new Error(problems.join('\n'));
  return { ...env, ...parseEnv(text) };
}

/** Calls `reload` at SIGHUP, and when the file's content has changed. Returns how to stop. */
export function followConfig(file: string | undefined, reload: () => void): () => void {
  const content = () => {
    try {
      return file === undefined ? '' : readFileSync(file, 'utf8');
    } catch {
      // In the middle of being replaced; what stays away is told at SIGHUP.
      return undefined;
    }
  };
  let last = content();
  const timer = setInterval(() => {
    // Contents are compared, not times: a mounted ConfigMap is swapped by a symbolic link.
    const now = content();
    if (now === undefined || now === last) return;
    last = now;
    reload();
  }, lookEveryMs);
  timer.unref();
  const hangUp = () => {
    last = content();
    reload();
  };
  process.on('SIGHUP', hangUp);
  return () => {
    clearInterval(timer);
    process.off('SIGHUP', hangUp);
  };
}

/** What a change of needs a restart: by variable, its part of the configuration. */
export type Fixed<C> = Readonly<Record<string, (config: C) => unknown>>;

/**
 * Reads the configuration again. One that cannot be used is refused as a whole, in one line: undefined. What needs a restart is said,
 * and does not keep the rest from being used.
 */
export function readAgain<C>(current: C, read: () => C, fixed: Fixed<C>, log: Logger): C | undefined {
  try {
    const config = read();
    const variables = Object.entries(fixed)
      .filter(([, part]) => !isDeepStrictEqual(part(current), part(config)))
      .map(([name]) => name);
    if (variables.length > 0) log.warn({ variables }, 'these settings have changed and need a restart');
    log.info('the configuration was read again');
    return config;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll('\n', '; ') : String(error);
    log.error({ reason }, 'the new configuration cannot be used; the old one stays');
    return undefined;
  }
}
