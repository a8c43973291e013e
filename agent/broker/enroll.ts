import { type ClientOptions, connectBroker } from '../../client/client.ts';
import { BrokerError, toBrokerError } from './error.ts';

/** Address of the broker, and the files and fingerprints of its TLS. */
export type BrokerAddress = Pick<ClientOptions, 'url' | 'caFile' | 'caFingerprints' | 'certFile' | 'keyFile'>;

/** Enrolls the agent that a token describes, and returns its key. Throws a BrokerError. */
export async function enroll(
  address: BrokerAddress,
  token: string,
  nonce: Uint8Array,
  signal: AbortSignal,
): Promise<string> {
  const client = connectBroker({ ...address, pak: token });
  try {
    const { pak } = await client.agent.enroll({ nonce }, { signal });
    if (pak === '') throw new BrokerError('unavailable', 'the broker gave no key', undefined);
    return pak;
  } catch (error) {
    throw explained(toBrokerError(error));
  } finally {
    client.close();
  }
}

function explained(error: BrokerError): BrokerError {
  if (error.kind !== 'unauthenticated') return error;
  const why = 'the enrollment token is not valid: it was used, has ended or was revoked';
  return new BrokerError(error.kind, `${why}; brokkr install agent NAME makes another one`, error);
}
