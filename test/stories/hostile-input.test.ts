import { create, type DescMessage, type DescMethod, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import { Code, ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { CreateStackRequestSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import { startTestBroker } from '../broker.ts';
import { assertNoKeys } from '../no-keys.ts';
import { type Subjects, table } from './authorization.table.ts';
import { hostileValues, valueSites } from './hostile-values.ts';

const test = await startTestBroker();
const { admin, broker } = test.client();

/** Codes that a caller may receive; others indicate defects. */
const allowed = new Set([
  'OK',
  'InvalidArgument',
  'NotFound',
  'AlreadyExists',
  'FailedPrecondition',
  'Aborted',
  'ResourceExhausted',
]);

async function makeTenant(name: string) {
  await admin.createGenerator({ name });
  const agent = await admin.createAgent({ name, generators: [name] });
  const stack = `${name}/web`;
  await broker.createStack({ name: 'web', generator: name, labels: ['neighbour'], annotations: { a: 'b' } });
  const manifest = Buffer.from(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"}}`);
  const { deployment } = await broker.submitDeployment({ stack, manifest });
  await broker.addTarget({ stack, agent: name });
  const { incarnation } = await test.client(agent.pak).agent.startAgent({ clusterId: 'cluster' });
  const { placements } = await broker.listPlacements({ stack });
  const { diagnostic } = await broker.requestDiagnostic({ stack, agent: name });
  const enrollment = await admin.createEnrollment({ name: `${name}-new` });
  const things: Subjects = {
    stack,
    agent: name,
    generator: name,
    deployment: deployment?.id ?? '',
    diagnostic: diagnostic?.id ?? '',
    checksum: Buffer.from(deployment?.checksum ?? '', 'hex'),
    generation: placements[0]?.generation ?? 0n,
    pak: 'ag00000000',
  };
  return {
    ...things,
    agentPak: agent.pak,
    enrollmentPak: enrollment.pak,
    incarnation,
    stackId: placements[0]?.stackId ?? '',
  };
}
const own = await makeTenant('own');
const neighbour = await makeTenant('neighbour');

const story = suite('hostile input');
story.after(() => test.close());

const methods = [BrokerService, AgentService, AdminService].flatMap((service) =>
  service.methods.map((method) => ({ name: `${service.name}/${method.name}`, method: method as DescMethod })),
);

for (const { name, method } of methods) {
  story(`in any field of ${name} is answered, never a defect, and changes nothing else`, async () => {
    const before = await neighbourhood();
    let tried = 0;
    for (const site of valueSites(method.input, 0)) {
      for (const [what, value] of hostileValues(site.field)) {
        const request = base(name, method);
        site.write(reflect(method.input, request), value);
        const answer = await send(name, method, request);
        tried += 1;
        assert.ok(allowed.has(codeOf(answer)), `${site.path} with ${what}: ${codeOf(answer)} ${answer}`);
      }
    }
    assert.ok(tried > 0 || method.input.fields.length === 0);
    assert.equal(await neighbourhood(), before);
  });
}

story('logs no defect', () => {
  const defects = test.logged.filter((line) => (JSON.parse(line) as { level: number }).level >= 50);
  assert.equal(defects, []);
});

story('as halves of surrogate pairs is refused by its field', async () => {
  for (const body of [
    '{"name":"\\ud800"}',
    '{"name":"a","labels":["\\udc00"]}',
    '{"name":"a","annotations":{"k":"\\ud800"}}',
    '{"requestId":"\\ud800","name":"a"}',
  ]) {
    const { status, text } = await post('CreateStack', 'application/json', Buffer.from(body));
    assert.is(status, 400, text);
    assert.match(text, 'invalid_argument');
  }
});

story('as invalid UTF-8, broken JSON and broken protobuf is refused', async () => {
  const bytes = toBinary(CreateStackRequestSchema, create(CreateStackRequestSchema, { name: 'abcd' }));
  const broken = Buffer.from(bytes);
  broken[broken.indexOf('abcd')] = 0xff;
  for (const [type, body] of [
    ['application/proto', broken],
    ['application/proto', Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['application/proto', Buffer.alloc(1_000, 0xff)],
    ['application/json', Buffer.from('{"name":')],
    ['application/json', Buffer.from('[]')],
    ['application/json', Buffer.from('{"name":{"a":1}}')],
    ['application/json', Buffer.from('{"nmae":"a"}')],
    ['application/json', Buffer.from(`{"selector":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`)],
  ] as const) {
    const { status, text } = await post('CreateStack', type, body);
    assert.is(status, 400, `${type} ${body.subarray(0, 20)}: ${text.slice(0, 200)}`);
  }
});

story('above the size limits is refused before it is read', async () => {
  const big = Buffer.alloc((1 << 20) + 1, 'x');
  const { status, text } = await post('CreateStack', 'application/json', big);
  assert.is(status, 429, text);
  const larger = await post('SubmitDeployment', 'application/json', Buffer.alloc(33 << 20, 'x'));
  assert.is(larger.status, 429, larger.text);
});

story('that is compressed is not decompressed beyond the limits', async () => {
  const { gzipSync } = await import('node:zlib');
  const bomb = gzipSync(Buffer.alloc(64 << 20));
  const { status } = await post('CreateStack', 'application/proto', bomb, { 'content-encoding': 'gzip' });
  assert.is(status, 429);
  const message = gzipSync(Buffer.from('{"name":"pressed"}'));
  const taken = await post('CreateStack', 'application/json', message, { 'content-encoding': 'gzip' });
  assert.is(taken.status, 200, taken.text);
  for (const encoding of ['gzip', 'br']) {
    const refusedBody = await post('CreateStack', 'application/json', Buffer.from('{}'), {
      'content-encoding': encoding,
    });
    assert.ok([400, 501].includes(refusedBody.status), `${encoding}: ${refusedBody.status} ${refusedBody.text}`);
  }
});

story('in page tokens is refused', async () => {
  const { nextPageToken } = await broker.listStacks({ pageSize: 1 });
  const token = JSON.parse(Buffer.from(nextPageToken, 'base64url').toString()) as { after: string[]; scope: string };
  for (const after of [
    [],
    ['a'],
    ['a', 'b', 'c'],
    ['a', 'b', "'; drop table stack; --"],
    ['\0', 'b', token.after[2]],
    ['\ud800', 'b', token.after[2]],
    [1, 2, 3],
    { 0: 'a' },
    null,
    ['a', 'b', token.after[2], 'd'],
  ]) {
    const forged = Buffer.from(JSON.stringify({ ...token, after })).toString('base64url');
    const answer = await broker.listStacks({ pageSize: 1, pageToken: forged }).catch(ConnectError.from);
    assert.is(codeOf(answer), 'InvalidArgument', JSON.stringify(after));
  }
  for (const pageToken of [
    'x',
    '!!!',
    'e30',
    'bnVsbA',
    'W10',
    Buffer.from('{"after":["1"],"scope":null}').toString('base64url'),
  ])
    assert.is(codeOf(await broker.listStacks({ pageToken }).catch(ConnectError.from)), 'InvalidArgument', pageToken);
});

story('leaves the broker serving, and no key in the log', async () => {
  await broker.whoAmI({});
  assertNoKeys(test.logged);
});

story.run();

/** Keys for single calls or for a service; the admin's otherwise. */
const keys: Readonly<Record<string, string>> = {
  AgentService: own.agentPak,
  'AgentService/Enroll': own.enrollmentPak,
};

/** Builds a valid request about the caller's own resources. */
function base(name: string, method: DescMethod): MessageShape<DescMessage> {
  const row = table[name];
  assert.ok(row);
  const { incarnation } = own;
  const carries =
    method.input.fields.some((field) => field.name === 'incarnation') && name !== 'AgentService/StartAgent';
  return create(method.input, { ...row.request(own), ...(carries && { incarnation }) } as never);
}

async function send(name: string, method: DescMethod, request: MessageShape<DescMessage>): Promise<unknown> {
  const [service = ''] = name.split('/');
  const pak = name === 'BrokerService/RotatePak' ? await spareKey() : (keys[name] ?? keys[service]);
  const client = clientOf(pak);
  const part = { BrokerService: client.broker, AgentService: client.agent, AdminService: client.admin }[
    service
  ] as never;
  const act = part[method.localName as never] as (request: unknown) => unknown;
  try {
    if (method.methodKind === 'unary') return await act(request);
    const sent = method.methodKind === 'bidi_streaming' ? one(request) : request;
    for await (const first of act(sent) as AsyncIterable<unknown>) return first;
    return undefined;
  } catch (error) {
    return ConnectError.from(error);
  }
}

const clients = new Map<string | undefined, ReturnType<typeof test.client>>();
function clientOf(pak: string | undefined) {
  const client = clients.get(pak) ?? test.client(pak);
  clients.set(pak, client);
  return client;
}

async function* one<T>(message: T) {
  yield message;
}

let spares = 0;
async function spareKey(): Promise<string> {
  return (await admin.createAgent({ name: `spare${++spares}` })).pak;
}

async function neighbourhood(): Promise<string> {
  const all = await Promise.all([
    broker.getStack({ stack: neighbour.stackId }),
    broker.getDeployment({ id: neighbour.deployment }),
    broker.listPlacements({ stack: neighbour.stackId }),
    admin.listRegistrations({ agent: neighbour.agent }),
    admin.getAgent({ agent: neighbour.agent }),
  ]);
  return JSON.stringify(all, (key, value) =>
    key === 'lastHeartbeatTime' || key === 'online' ? undefined : typeof value === 'bigint' ? String(value) : value,
  );
}

function codeOf(answer: unknown): string {
  return answer instanceof ConnectError ? (Code[answer.code] ?? '') : 'OK';
}

async function post(method: string, type: string, body: Buffer, headers: Record<string, string> = {}) {
  const response = await fetch(`${test.url}/brokkr.v1.BrokerService/${method}`, {
    method: 'POST',
    headers: { 'content-type': type, authorization: `Bearer ${test.adminPak}`, ...headers },
    body: new Uint8Array(body),
  });
  return { status: response.status, text: await response.text() };
}
