/**
 * A CI job that uses Brokkr: it renders objects from a commit, submits them as a stack, and waits until they are healthy on every agent.
 *
 *   BROKKR_SERVER=http://localhost:3000 BROKKR_PAK=brokkr_ge… node --import ./node-version.js examples/generator/main.ts
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { connectBroker, isCleartext } from '../../client/client.ts';
import { deliver } from './deliver.ts';
import { render } from './render.ts';

const { BROKKR_SERVER: url, BROKKR_PAK: pak, STACK: stack = 'shop', LABEL: label = 'demo' } = process.env;
const { GITHUB_SHA: commit = 'local', TIMEOUT_SECONDS: timeoutSeconds = '300' } = process.env;
if (!url || !pak) fail('set BROKKR_SERVER and BROKKR_PAK');
if (isCleartext(url)) fail(`${url} is not encrypted: use https://`);

const client = connectBroker({ url, pak });
try {
  const manifest = render({ commit, pages: ['home', 'cart'] });
  const signal = AbortSignal.timeout(Number(timeoutSeconds) * 1_000);
  const { revision, unchanged, agents } = await deliver(client.broker, { stack, label, manifest, commit, signal });
  const outcome = unchanged ? 'was already there' : 'is new';
  console.log(`revision ${revision} of ${stack} ${outcome} and healthy on: ${agents.join(', ') || 'no agent yet'}`);
} catch (error) {
  fail(error instanceof ConnectError ? `${Code[error.code]}: ${error.rawMessage}` : String(error));
} finally {
  client.close();
}

function fail(message: string): never {
  console.error(`error: ${message}`);
  process.exit(1);
}
