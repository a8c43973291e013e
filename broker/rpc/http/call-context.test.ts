import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { eventually, startTestBroker } from '../../../test/broker.ts';
import { assertNoKeys } from '../../../test/no-keys.ts';
import { makePak } from '../../access/pak.ts';

const test = await startTestBroker();
const { broker } = test.client();
const idShape = /^[\w.-]{1,64}$/;
const traceId = '0af7651916cd43dd8448eb211c80319c';

const calls = suite('calls');
calls.after(() => test.close());

/** Waits for the log line about the end of the call with this id. */
const logLineOf = (id: string) =>
  eventually(
    () =>
      test.logged
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .find((line) => line.requestId === id && line.msg === 'a call ended'),
    30_000,
  );

async function idOf(headers: Record<string, string>): Promise<string> {
  let id = '';
  await broker.whoAmI({}, { headers, onHeader: (answer) => (id = answer.get('x-request-id') ?? '') });
  return id;
}

calls('have an id, which their response and the log contain', async () => {
  const id = await idOf({});
  assert.match(id, idShape);
  const { method, code, caller, level } = await logLineOf(id);
  assert.equal({ method, code, caller, level }, { method: 'WhoAmI', code: 'OK', caller: 'admin', level: 20 });
  assert.is.not(await idOf({}), id);
});

calls('keep the id that the caller sent, when it is valid', async () => {
  assert.is(await idOf({ 'x-request-id': 'ci-job.42' }), 'ci-job.42');
  for (const wrong of ['a b', 'x'.repeat(65), '"}', makePak('ad').text.padEnd(70, '_')])
    assert.is.not(await idOf({ 'x-request-id': wrong }), wrong);
});

calls('that fail have one too, whether a handler or the authentication refuses them', async () => {
  for (const [client, code] of [
    [test.client(), 'NotFound'],
    [test.client(makePak('ge').text), 'Unauthenticated'],
  ] as const) {
    const id = `refused-${code}`;
    let answered: string | null = '';
    const call = client.broker.getStack(
      { stack: 'nothing' },
      { headers: { 'x-request-id': id }, onHeader: (answer) => (answered = answer.get('x-request-id')) },
    );
    const error = ConnectError.from(await call.catch((reason: unknown) => reason));
    assert.is(Code[error.code], code);
    assert.is(error.metadata.get('x-request-id') ?? answered, id);
  }
  assert.is((await logLineOf('refused-NotFound')).code, 'NotFound');
});

calls('return the id in a header over plain HTTP', async () => {
  const answer = await fetch(`${test.url}/brokkr.v1.BrokerService/WhoAmI`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${test.adminPak}` },
    body: '{}',
  });
  assert.match(answer.headers.get('x-request-id') ?? '', idShape);
});

calls('that are part of a trace are logged with it, and others are not', async () => {
  await idOf({ 'x-request-id': 'in-a-trace', traceparent: `00-${traceId}-b7ad6b7169203331-01` });
  assert.is((await logLineOf('in-a-trace')).traceId, traceId);
  await idOf({ 'x-request-id': 'in-none', traceparent: `00-${'0'.repeat(32)}-b7ad6b7169203331-01` });
  assert.is((await logLineOf('in-none')).traceId, undefined);
});

calls('that are streams are logged when they end', async () => {
  await broker.createStack({ name: 'watched' });
  const end = new AbortController();
  const headers = { 'x-request-id': 'a-stream' };
  const stream = broker.watchStack({ stack: 'watched' }, { signal: end.signal, headers });
  await stream[Symbol.asyncIterator]().next();
  end.abort();
  assert.is((await logLineOf('a-stream')).method, 'WatchStack');
});

calls('leave no keys in the log', () => assertNoKeys(test.logged));

calls.run();
