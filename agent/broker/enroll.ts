import { connectBroker } from '../../client/client.ts';
import type { Config } from '../config.ts';
import { BrokerError, toBrokerError } from './error.ts';

/** Makes the agent that a token describes, and answers its key. What the broker refuses is a BrokerError. */
export async function enroll(
  { brokerUrl, tls }: Pick<Config, 'brokerUrl' | 'tls'>,
  token: string,
  nonce: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  const client = connectBroker({ url: brokerUrl, pak: token, ...tls });
  try {
    const { pak } = await client.agent.enroll({ nonce }, { signal });
    if (pak === '') throw new BrokerError('unavailable', 'the broker gave no key', undefined);
    return pak;
  } catch (error) {
    throw inWords(toBrokerError(error));
  } finally {
    client.close();
  }
}

function inWords(error: BrokerError): BrokerError {
  if (error.kind !== 'unauthenticated') return error;
  const why = 'the enrollment token is not valid: it was used, has ended or was revoked';
  return new BrokerError(error.kind, `${why}; brokkr install agent NAME makes another one`, error);
}
