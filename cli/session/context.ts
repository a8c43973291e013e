import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { parse, stringify } from 'yaml';
import { Failure } from '../output/failure.ts';

/** A broker and the key for it. */
export interface Context {
  readonly server: string;
  readonly pak?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureCleartext?: boolean;
}

export interface Contexts {
  readonly current: string | undefined;
  readonly all: Readonly<Record<string, Context>>;
}

const contextKeys = {
  server: 'server',
  pak: 'pak',
  caFile: 'ca-file',
  certFile: 'cert-file',
  keyFile: 'key-file',
  insecureCleartext: 'insecure-cleartext',
} as const satisfies Record<keyof Context, string>;

/** The kept contexts; none when there is no file. Throws a Failure when the file cannot be understood. */
export function readContexts(env: NodeJS.ProcessEnv): Contexts {
  const file = contextsFile(env);
  const text = readIfExists(file);
  if (text === undefined) return { current: undefined, all: {} };
  try {
    const { 'current-context': current, contexts = {} } = asMap(parse(text, { prettyErrors: false }) ?? {});
    const all = Object.entries(asMap(contexts)).map(([name, value]) => [name, toContext(name, asMap(value))] as const);
    return { current: typeof current === 'string' ? current : undefined, all: Object.fromEntries(all) };
  } catch (cause) {
    // The parser's own message may quote a line that holds a key.
    throw new Failure(`${file} cannot be understood`, { hint: 'mend it, or remove it and log in again', cause });
  }
}

/** Writes the file whole or not at all, for its owner's eyes only. */
export function writeContexts(env: NodeJS.ProcessEnv, contexts: Contexts): void {
  const file = contextsFile(env);
  const folder = path.dirname(file);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  chmodSync(folder, 0o700);
  const all = Object.entries(contexts.all).map(([name, context]) => [name, fromContext(context)]);
  const text = stringify({
    ...(contexts.current !== undefined && { 'current-context': contexts.current }),
    contexts: Object.fromEntries(all),
  });
  const temporary = `${file}.${process.pid}`;
  try {
    writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** `$XDG_CONFIG_HOME/brokkr/config.yaml`, by default below ~/.config. */
function contextsFile(env: NodeJS.ProcessEnv): string {
  return path.join(env.XDG_CONFIG_HOME || path.join(homedir(), '.config'), 'brokkr', 'config.yaml');
}

/** Puts a context in, or changes it, and makes it the current one unless that is not wanted. */
export function saveContext(env: NodeJS.ProcessEnv, name: string, context: Context, makeCurrent = true): void {
  const { current, all } = readContexts(env);
  writeContexts(env, { current: makeCurrent ? name : current, all: { ...all, [name]: context } });
}

function readIfExists(file: string): string | undefined {
  try {
    const text = readFileSync(file, 'utf8');
    if (process.platform !== 'win32' && (statSync(file).mode & 0o077) !== 0)
      process.stderr.write(`warning: others can read the keys in ${file}; run: chmod 600 ${file}\n`);
    return text;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function asMap(value: unknown): Record<string, unknown> {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new Error('not a map');
  return value as Record<string, unknown>;
}

function toContext(name: string, map: Record<string, unknown>): Context {
  const text = (key: string) => (typeof map[key] === 'string' ? map[key] : undefined);
  const server = text(contextKeys.server);
  if (server === undefined) throw new Error(`context ${name} has no server`);
  return {
    server,
    pak: text(contextKeys.pak),
    caFile: text(contextKeys.caFile),
    certFile: text(contextKeys.certFile),
    keyFile: text(contextKeys.keyFile),
    insecureCleartext: map[contextKeys.insecureCleartext] === true || undefined,
  };
}

function fromContext(context: Context): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(contextKeys).flatMap(([field, key]) => {
      const value = context[field as keyof Context];
      return value === undefined ? [] : [[key, value]];
    }),
  );
}
