import type { Interceptor } from '@connectrpc/connect';
import { type BrokkrClient, connectBroker, isCleartext } from '../../client/client.ts';
import { mapErrors } from '../../client/map-errors.ts';
import { usageError } from '../output/failure.ts';
import { type Output, openOutput } from '../output/output.ts';
import { rememberServer } from './connection-failure.ts';
import { retryUnavailable } from './retry.ts';
import { type ConnectionSettings, type GlobalOptions, readSettings } from './settings.ts';

/** The connection of one command to the broker, and its output. */
export interface Session extends Pick<BrokkrClient, 'broker' | 'admin' | 'close'> {
  readonly settings: ConnectionSettings;
  readonly output: Output;
}

/** Opens a session from options, environment and saved contexts. Sends nothing yet. */
export function openSession(globals: GlobalOptions, tracing?: Interceptor): Session {
  return connectSession(readSettings(globals, process.env), globals, tracing);
}

/** Opens a session with given settings. Throws a Failure if the key would cross a network unencrypted without consent. */
export function connectSession(settings: ConnectionSettings, globals: GlobalOptions, tracing?: Interceptor): Session {
  if (isCleartext(settings.server) && !settings.insecureCleartext) {
    throw usageError(
      `${settings.server} is not encrypted: others could read the key`,
      'use https://, or add --insecure-cleartext if you trust the network',
    );
  }
  const { server: url, pak, caFile, certFile, keyFile } = settings;
  const remember = mapErrors((error) => rememberServer(error, url));
  const interceptors = [remember, ...(tracing ? [tracing] : []), retryUnavailable];
  const client = connectBroker({ url, pak, caFile, certFile, keyFile, interceptors });
  return { ...client, settings, output: openOutput(globals.output ?? 'table') };
}
