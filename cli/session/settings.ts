import { Failure, usageError } from '../output/failure.ts';
import type { OutputOption } from '../output/output-format.ts';
import { type Context, readContexts } from './context.ts';

/** The options that every command takes. */
export interface GlobalOptions {
  readonly output?: OutputOption;
  readonly context?: string;
  readonly server?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureCleartext?: boolean;
}

/** Where to call, and with which key. */
export interface ConnectionSettings extends Omit<Context, 'pak'> {
  readonly pak: string;
  /** Name of the context that the key is kept in; undefined when it came from BROKKR_PAK. */
  readonly contextName: string | undefined;
}

/** What `npm start` listens on. */
export const defaultServer = 'http://localhost:3000';

/**
 * Options before environment before the chosen context. A context's key is sent to that context's server only: with another
 * server, the key has to come from BROKKR_PAK.
 */
export function readSettings(globals: GlobalOptions, env: NodeJS.ProcessEnv): ConnectionSettings {
  const contexts = readContexts(env);
  const name = globals.context || env.BROKKR_CONTEXT || contexts.current;
  const context = name === undefined ? undefined : contexts.all[name];
  if (name !== undefined && context === undefined) {
    throw usageError(
      `there is no context "${name}"`,
      'brokkr context list shows them; brokkr login --context NAME adds one',
    );
  }
  // An option says it for this one call: what the environment says for many does not count then.
  const named = globals.context ? context : undefined;
  const server = parseServer(globals.server || named?.server || env.BROKKR_SERVER || context?.server || defaultServer);
  const fits = context !== undefined && parseServer(context.server) === server;
  const kept = fits ? context.pak : undefined;
  const pak = (named && kept) || env.BROKKR_PAK?.trim() || kept;
  if (pak === undefined) {
    throw new Failure(`no key for ${server}`, { hint: `run: brokkr login --server ${server}   (or set BROKKR_PAK)` });
  }
  return {
    server,
    pak,
    contextName: pak === kept ? name : undefined,
    caFile: globals.caFile ?? (fits ? context.caFile : undefined),
    certFile: globals.certFile ?? (fits ? context.certFile : undefined),
    keyFile: globals.keyFile ?? (fits ? context.keyFile : undefined),
    insecureCleartext: globals.insecureCleartext ?? (fits ? context.insecureCleartext : undefined),
  };
}

/** The address without a path: what contexts are compared by. Throws on what is no http or https address. */
export function parseServer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw usageError(
      `"${text}" is not an address of a broker`,
      'it looks like https://brokkr.example.com or http://localhost:3000',
    );
  }
  return url.origin;
}
