import { Failure, usageError } from '../output/failure.ts';
import type { OutputOption } from '../output/output-format.ts';
import { type Context, readContexts } from './context.ts';

/** The options of every command. */
export interface GlobalOptions {
  readonly output?: OutputOption;
  readonly context?: string;
  readonly server?: string;
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureCleartext?: boolean;
}

/** The broker to call and the credentials for it. */
export interface ConnectionSettings extends Omit<Context, 'pak'> {
  readonly pak: string;
  /** Context that the key was read from; undefined when it came from BROKKR_PAK. */
  readonly contextName: string | undefined;
}

/** Address that `npm start` listens on. */
export const defaultServer = 'http://localhost:3000';

/**
 * Resolves the settings: options take precedence over the environment, and the environment over the selected context. The key of a
 * context is sent only to the server of that context; for another server it must come from BROKKR_PAK. Throws a Failure without a
 * key, for an unknown context and for an invalid address.
 */
export function readSettings(globals: GlobalOptions, env: NodeJS.ProcessEnv): ConnectionSettings {
  const contexts = readContexts(env);
  const name = globals.context || env.BROKKR_CONTEXT || contexts.current;
  const context = name === undefined ? undefined : contexts.all[name];
  if (name !== undefined && context === undefined) {
    throw usageError(
      `there is no context "${name}"`,
      'list them with brokkr context list, or add one with brokkr login --context NAME',
    );
  }
  // A context that is named by an option takes precedence over the environment.
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

/** Returns the origin of an address, by which contexts are compared. Throws a Failure unless it is an http or https address. */
export function parseServer(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') {
    throw usageError(
      `"${text}" is not a broker address`,
      'use an address such as https://brokkr.example.com or http://localhost:3000',
    );
  }
  return url.origin;
}
