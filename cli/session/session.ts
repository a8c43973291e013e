import type { Interceptor } from '@connectrpc/connect';
import { type BrokkrClient, connectBroker, isCleartext } from '../../client/client.ts';
import { usageError } from '../output/failure.ts';
import { type Output, openOutput } from '../output/output.ts';
import { retryUnavailable } from './retry.ts';
import { type ConnectionSettings, type GlobalOptions, readSettings } from './settings.ts';

/** One command's connection to its broker, and where its answer goes. */
export interface Session extends Pick<BrokkrClient, 'broker' | 'admin' | 'close'> {
  readonly settings: ConnectionSettings;
  readonly out: Output;
}

/** Connects as the options, the environment and the kept contexts say; nothing is sent yet. */
export function openSession(globals: GlobalOptions, traced?: Interceptor): Session {
  return connectSession(readSettings(globals, process.env), globals, traced);
}

/** Connects to a broker whose key is not kept yet. Refuses to send a key over a network in clear text. */
export function connectSession(settings: ConnectionSettings, globals: GlobalOptions, traced?: Interceptor): Session {
  if (isCleartext(settings.server) && !settings.insecureCleartext) {
    throw usageError(
      `${settings.server} is not encrypted: the key could be read on the way`,
      'use https://, or say --insecure-cleartext if the network is trusted',
    );
  }
  const { server: url, pak, caFile, certFile, keyFile } = settings;
  const interceptors = [...(traced ? [traced] : []), retryUnavailable];
  const client = connectBroker({ url, pak, caFile, certFile, keyFile, interceptors });
  return { ...client, settings, out: openOutput(globals.output ?? 'table') };
}
