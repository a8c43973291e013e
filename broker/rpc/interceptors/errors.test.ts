import { Code, ConnectError } from '@connectrpc/connect';
import pg from 'pg';
import pino from 'pino';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BadRequestSchema, ErrorInfoSchema } from '../../../gen/google/rpc/error_details_pb.ts';
import { refused, startTestBroker } from '../../../test/broker.ts';
import { assertNoKeys } from '../../../test/no-keys.ts';
import { makePak } from '../../access/pak.ts';
import { Refusal, type RefusalKind } from '../../refusal.ts';
import { errorInterceptor, toConnectError } from './errors.ts';

const test = await startTestBroker();
const { broker } = test.client();
const log = pino({ level: 'silent' });
const translate = (error: unknown) => toConnectError(error, log, 'Method');

const errors = suite('errors');
errors.after(() => test.close());

errors('fit into trailers, whatever the request contains', async () => {
  const long = 'x'.repeat(64 << 10);
  for (const call of [
    () => broker.createStack({ name: 'a', annotations: { [long]: 'v' } }),
    () => broker.updateStack({ stack: 'a', updateMask: { paths: [long] } }),
    () =>
      broker.createStack({ name: 'a', labels: Array.from({ length: 64 }, (_, at) => `${long.slice(0, 10_000)}${at}`) }),
  ]) {
    const error = await refused(call(), Code.InvalidArgument).catch((reason: unknown) => reason as ConnectError);
    assert.is(Code[(error as ConnectError).code], 'InvalidArgument');
    assert.ok((error as ConnectError).rawMessage.length <= 1_001);
    const size = JSON.stringify(
      (error as ConnectError).details.map((detail) => ('value' in detail ? [...(detail.value as Uint8Array)] : [])),
    ).length;
    assert.ok(size < 32_000, `details of ${size}`);
  }
});

errors('list the first violations, and omit those that do not fit', () => {
  const violations = Array.from({ length: 20 }, (_, at) => ({ field: `f${at}`, description: 'ä'.repeat(900) }));
  const error = translate(new Refusal('invalid_argument', 'bad', { violations }));
  const kept = error.findDetails(BadRequestSchema)[0]?.fieldViolations ?? [];
  assert.ok(kept.length >= 1 && kept.length < 20);
  assert.is(kept[0]?.field, 'f0');
  const message = translate(new Refusal('invalid_argument', '\u{1f600}'.repeat(1_000))).rawMessage;
  assert.ok(encodeURIComponent(message).length <= 1_010);
  assert.ok(message.isWellFormed());
});

errors('of a stream do not include failed writes to a client that disconnected', async () => {
  const logged: string[] = [];
  const intercept = errorInterceptor(pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }));
  let ended = false;
  async function* messages() {
    try {
      yield 'first';
      throw new Error('of the call itself');
    } finally {
      ended = true;
    }
  }
  const answer = async () => {
    const request = { method: { name: 'Method' } };
    const { message } = await intercept(async () => ({ stream: true, message: messages() }) as never)(request as never);
    const stream = (message as AsyncIterable<string>)[Symbol.asyncIterator]();
    await stream.next();
    return stream;
  };
  const left = await answer();
  const error = await left.throw?.(new Error('write ECANCELED')).catch((reason: unknown) => reason);
  assert.is(Code[(error as ConnectError).code], 'Canceled');
  assert.ok(ended);
  assert.equal(logged, []);
  const stayed = await answer();
  const defect = await stayed.next().catch((reason: unknown) => reason);
  assert.is(Code[(defect as ConnectError).code], 'Internal');
  assert.is(logged.length, 1);
});

errors('have a code for each refusal, and its reason', () => {
  const codes = {
    invalid_argument: Code.InvalidArgument,
    not_found: Code.NotFound,
    already_exists: Code.AlreadyExists,
    aborted: Code.Aborted,
    failed_precondition: Code.FailedPrecondition,
    permission_denied: Code.PermissionDenied,
    unauthenticated: Code.Unauthenticated,
    resource_exhausted: Code.ResourceExhausted,
    unavailable: Code.Unavailable,
  } as const satisfies Record<RefusalKind, Code>;
  for (const [kind, code] of Object.entries(codes)) {
    const error = translate(new Refusal(kind as keyof typeof codes, 'why', { reason: 'WHY' }));
    assert.equal([error.code, error.rawMessage], [code, 'why']);
    assert.equal(
      [error.findDetails(ErrorInfoSchema)[0]?.reason, error.findDetails(ErrorInfoSchema)[0]?.domain],
      ['WHY', 'brokkr'],
    );
  }
});

errors('of an unreachable database are UNAVAILABLE, and those of a defect reveal nothing', () => {
  const failure = (code: string) => Object.assign(new Error('secret detail'), { code });
  for (const code of ['ECONNREFUSED', 'EPIPE', 'ECONNRESET', '57P01', '53300', '57014', '08006', '40001'])
    assert.is(translate(failure(code)).code, Code.Unavailable, code);
  assert.is(translate(new Error('wrapped', { cause: failure('EPIPE') })).code, Code.Unavailable);
  for (const error of [failure('42P01'), failure('22P02'), new Error('secret detail'), 'secret detail', undefined]) {
    const answer = translate(error);
    assert.equal([answer.code, answer.rawMessage, answer.details], [Code.Internal, 'internal error', []]);
  }
});

errors('never repeat a key', async () => {
  const { text } = makePak('ad');
  for (const call of [
    () => broker.getStack({ stack: text }),
    () => broker.getStack({ stack: `a/${text}` }),
    () => broker.createStack({ name: 'a', generator: text.slice(0, 63) }),
    () => test.client().admin.revokePak({ pak: text }),
    () => broker.createStack({ name: text }),
    () => broker.createStack({ name: 'a', annotations: { [`${text} x`]: '' } }),
  ]) {
    const error = await call().catch(ConnectError.from);
    assert.instance(error, ConnectError);
    assertNoKeys([
      (error as ConnectError).message,
      JSON.stringify((error as ConnectError).findDetails(BadRequestSchema).map((detail) => detail.fieldViolations)),
    ]);
  }
  assertNoKeys(test.logged);
});

errors('of a failing statement log neither keys nor manifest contents', async () => {
  const sql = new pg.Client({
    connectionString: test.postgres.url,
    options: `-c search_path=${test.config.databaseSchema}`,
  });
  await sql.connect();
  await broker.createStack({ name: 'web' });
  try {
    await sql.query('alter table manifest rename to away');
    const manifest = Buffer.from(
      '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"password":"topsecret"}}',
    );
    await refused(broker.submitDeployment({ stack: 'web', manifest }), Code.Internal, 'internal error');
    await sql.query('alter table away rename to manifest');
    await sql.query('alter table pak rename column hash to away');
    await refused(test.client().admin.createAgent({ name: 'edge' }), Code.Internal, 'internal error');
  } finally {
    await sql.query('alter table pak rename column away to hash').catch(() => {});
    await sql.end();
  }
  const lines = test.logged.join('');
  assert.match(lines, 'a call failed');
  assert.not.match(lines, 'topsecret');
  assert.not.match(lines, Buffer.from('topsecret').toString('hex'));
  assert.not.match(lines, Buffer.from('topsecret').toString('base64'));
  assert.not.match(lines, 'argon2id$');
  assertNoKeys(test.logged);
});

errors.run();
