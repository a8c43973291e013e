import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

/** Environment variables. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** An invalid configuration; the message names the variables to change. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/**
 * Overrides the environment by the variables in the file that BROKKR_CONFIG_FILE names: one NAME=VALUE per line, comments start with #.
 * Throws a ConfigError with a line for each problem. It quotes no values, which may be secret.
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
  const problems = text.split('\n').flatMap((line, index) => {
    const [, name] = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=/.exec(line) ?? [];
    if (/^\s*(#|$)/.test(line)) return [];
    if (name === undefined) return [`${file} line ${index + 1}: is not NAME=VALUE`];
    if (name === 'BROKKR_CONFIG_FILE' || !(name in variables))
      return [`${file} line ${index + 1}: ${name} is not a variable that can be set here`];
    return [];
  });
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return { ...env, ...parseEnv(text) };
}

/** Reads variables one by one and collects all problems instead of stopping at the first. */
export interface SettingsReader<Name extends string> {
  /** Returns the trimmed value; undefined if it is missing or empty. */
  text(name: Name): string | undefined;
  /** Returns the parsed value; the parsed fallback if the variable is missing or invalid. */
  read<T>(name: Name, fallback: string, parse: (value: string) => T): T;
  /** Problems so far, one line each. */
  readonly problems: string[];
}

/** Creates a reader of settings from the environment. */
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

/** Levels of BROKKR_LOG_LEVEL. */
export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** A network address to listen on. */
export interface Address {
  readonly host: string;
  /** 0 selects a free port. */
  readonly port: number;
}

/** Parses "host:port", "[v6]:port" or ":port" (all addresses). */
export function parseAddress(value: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(value);
  const port = Number(match?.[3] ?? -1);
  if (!match || port > 65_535) throw new Error(`"${value}" is not host:port`);
  return { host: match[1] ?? (match[2] || '0.0.0.0'), port };
}

/** Formats a host for a URL: IPv6 addresses get brackets. */
export function bracketIpv6(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

/** Returns the host, for a URL, at which this machine reaches a server that listens on the given host. */
export function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : bracketIpv6(host);
}

/** Creates a parser of whole numbers within bounds. */
export function integerBetween(min: number, max: number): (value: string) => number {
  return (value) => {
    const count = Number(value);
    if (Number.isInteger(count) && count >= min && count <= max) return count;
    throw new Error(`"${value}" is not a number from ${min} to ${max}`);
  };
}

/** Creates a parser that accepts the given values. */
export function parseOneOf<Value extends string>(values: readonly Value[]): (value: string) => Value {
  return (value) => {
    const match = values.find((candidate) => candidate === value);
    if (!match) throw new Error(`"${value}" is not one of ${values.join(', ')}`);
    return match;
  };
}

/** Splits a comma-separated list and drops empty items. */
export function parseList(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}
