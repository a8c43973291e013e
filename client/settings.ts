import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What an operator has to change; its message names the variables. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * The environment, with what its BROKKR_CONFIG_FILE says instead: a variable a line, NAME=VALUE, with # before comments. Throws a
 * ConfigError with one line for each that is not a variable, and quotes no value.
 */
export function withConfigFile(env: Environment, variables: Readonly<Record<string, string>>): Environment {
  const file = env.BROKKR_CONFIG_FILE;
  if (!file) return env;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`BROKKR_CONFIG_FILE: ${(error as Error).message}`);
  }
  const problems = text.split('\n').flatMap((line, at) => {
    const [, name] = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=/.exec(line) ?? [];
    if (/^\s*(#|$)/.test(line)) return [];
    if (name === undefined) return [`${file} line ${at + 1}: is not NAME=VALUE`];
    if (name === 'BROKKR_CONFIG_FILE' || !(name in variables))
      return [`${file} line ${at + 1}: ${name} is not a variable that can stand here`];
    return [];
  });
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return { ...env, ...parseEnv(text) };
}

/** Reads variables one by one, and goes on after one that is wrong, so that all of them can be told at once. */
export interface SettingsReader<Name extends string> {
  /** The variable without spaces around it; undefined when it is missing or empty. */
  text(name: Name): string | undefined;
  /** What the variable's text is parsed to; of one that is missing, or that `parse` throws at, the fallback. */
  read<T>(name: Name, fallback: string, parse: (value: string) => T): T;
  /** What is wrong so far, a line each. */
  readonly problems: string[];
}

export function createSettingsReader<Name extends string>(env: Environment): SettingsReader<Name> {
  const problems: string[] = [];
  const text = (name: Name) => env[name]?.trim() || undefined;
  return {
    text,
    read(name, fallback, parse) {
      try {
        return parse(text(name) ?? fallback);
      } catch (error) {
        problems.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        return parse(fallback);
      }
    },
    problems,
  };
}

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

export interface Address {
  readonly host: string;
  /** 0 means a free one. */
  readonly port: number;
}

/** "host:port", "[v6]:port" or ":port" (all addresses). */
export function parseAddress(value: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(value);
  const port = Number(match?.[3] ?? -1);
  if (!match || port > 65_535) throw new Error(`"${value}" is not host:port`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** A host as it stands in a URL. */
export function bracketIpv6(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Where this machine reaches an address that a server listens on, as it stands in a URL. */
export function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : bracketIpv6(host);
}

/** Parses a whole number in these bounds. */
export function integerBetween(least: number, most: number): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (Number.isInteger(count) && count >= least && count <= most) return count;
    throw new Error(`"${value}" is not a number from ${least} to ${most}`);
  };
}

export function parseOneOf<Value extends string>(values: readonly Value[]): (value: string) => Value {
  return (value) => {
    const found = values.find((candidate) => candidate === value);
    if (!found) throw new Error(`"${value}" is not one of ${values.join(', ')}`);
    return found;
  };
}

/** What stands between commas. */
export function parseList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
