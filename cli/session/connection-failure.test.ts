import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { makeAuthority } from '../../test/tools/certificates.ts';

const failures = suite('cli: a broker that is not reached');
const authority = await makeAuthority();
const files = await authority.issue('broker');
const cleartext = await startTestBroker();
const { postgres } = cleartext;
const tls = await startTestBroker({ postgres, config: { tls: { ...files, clientCaFile: undefined } } });
const mutual = await startTestBroker({ postgres, config: { tls: { ...files, clientCaFile: authority.caFile } } });
const cli = testCli(cleartext);
failures.after(async () => {
  cli.close();
  await mutual.close();
  await tls.close();
  await cleartext.close();
  authority.remove();
});

const portOf = ({ url }: { url: string }) => new URL(url).port;
const failing = (server: string, options = '') => cli.fails(1, `get stacks --server ${server} ${options}`);

failures('is named with its address', async () => {
  assert.match(
    await failing('http://127.0.0.1:1'),
    'the broker at http://127.0.0.1:1 cannot be reached: connection refused',
  );
});

failures('speaks no TLS, or wants it', async () => {
  const plain = await failing(`https://127.0.0.1:${portOf(cleartext)}`);
  assert.match(plain, /it speaks no TLS\n {2}use http:\/\/ in --server/);
  assert.match(await failing(`http://127.0.0.1:${portOf(tls)}`), 'for a broker with TLS use https://');
});

failures('has a certificate that is not trusted, or asks for one', async () => {
  assert.match(await failing(`https://127.0.0.1:${portOf(tls)}`), /does not trust\n.*--ca-file\n$/);
  const trusting = `--ca-file ${authority.caFile}`;
  assert.match(await failing(`https://127.0.0.1:${portOf(mutual)}`, trusting), /--cert-file and --key-file\n$/);
});

/** Answers every request with a status, as a proxy does that does not pass it on. */
async function answering(status: number, test: (url: string) => Promise<void>): Promise<void> {
  const server = createHttp2Server();
  server.on('stream', (stream) => stream.respond({ ':status': status }, { endStream: true }));
  await new Promise<void>((settle) => server.listen(0, '127.0.0.1', settle));
  try {
    await test(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

failures('has a proxy in front of it that refuses or does not reach it', async () => {
  await answering(413, async (url) => assert.match(await failing(url), /HTTP 413\)\n.*client_max_body_size 33m;\n$/));
  await answering(404, async (url) => assert.match(await failing(url), `what answers at ${url} is no broker`));
  await answering(502, async (url) => assert.match(await failing(url), /HTTP 502\n {2}check the proxy/));
});

failures.run();
