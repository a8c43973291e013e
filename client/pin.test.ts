import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { refused, startTestBroker } from '../test/broker.ts';
import { makeAuthority } from '../test/tools/certificates.ts';
import { connectBroker } from './client.ts';
import { parseFingerprints } from './pin.ts';

const authority = await makeAuthority();
const { certFile, keyFile } = await authority.issue('broker');
const test = await startTestBroker({ config: { tls: { certFile, keyFile, clientCaFile: undefined } } });
const { caFile } = authority;
const fingerprintOf = (file: string) => new X509Certificate(readFileSync(file)).fingerprint256;
const wrong = '0'.repeat(64);

const pins = suite('pinned certificates');
pins.after(async () => {
  await test.close();
  authority.remove();
});

async function ask(pin: string | undefined, { ca = caFile, url = test.url }: { ca?: string; url?: string } = {}) {
  const caFingerprints = pin === undefined ? undefined : parseFingerprints(pin);
  const client = connectBroker({ url, pak: test.adminPak, caFile: ca, caFingerprints });
  try {
    return await client.broker.whoAmI({});
  } finally {
    client.close();
  }
}

pins('accept a broker whose CA or own certificate is pinned', async () => {
  for (const pin of [caFile, certFile].map(fingerprintOf)) {
    assert.is((await ask(pin)).name, 'admin');
    assert.is((await ask(`${wrong}, sha256:${pin.toLowerCase().replaceAll(':', '')}`)).name, 'admin');
  }
});

pins('reject a trusted broker with another certificate, and name its fingerprints', async () => {
  const error = await refused(ask(wrong), Code.Internal);
  assert.match(String(error.cause ?? error), fingerprintOf(caFile).replaceAll(':', '').toLowerCase());
});

pins('do not replace the other checks', async () => {
  const other = await makeAuthority('another authority');
  await ask(fingerprintOf(certFile), { ca: other.caFile }).then(
    () => assert.unreachable('the authority is not trusted'),
    () => {},
  );
  other.remove();
});

pins('are parsed with and without colons, and nothing else is', () => {
  const digits = 'ab'.repeat(32);
  assert.equal(parseFingerprints(`SHA256:${digits.toUpperCase()}`), [digits]);
  assert.equal(parseFingerprints(digits.replace(/..(?!$)/g, '$&:')), [digits]);
  for (const text of ['', 'ab', `${digits},`, `md5:${digits}`])
    assert.throws(() => parseFingerprints(text), /fingerprint/);
});

pins.run();
