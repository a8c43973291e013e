// time limit: 10 min
// Over 300 lines: one table over every RPC, and the tenants that it is about
import type { DescMethod } from '@bufbuild/protobuf';
import { Code, ConnectError, type Interceptor } from '@connectrpc/connect';
import pg from 'pg';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { roleOf } from '../../broker/access/roles.ts';
import { rolesOf } from '../../broker/rpc/interceptors/authenticate.ts';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { fingerprint } from '../agent/fingerprint.ts';
import { eventually, startTestBroker } from '../broker.ts';
import { assertNoKeys } from '../no-keys.ts';
import { type Row, type Things, table } from './authorization.table.ts';

// Calls name their source address: those with bad keys throttle each other if they come from one address.
const test = await startTestBroker({ config: { trustedProxies: 1 } });
const { admin, broker } = test.client();
const sql = new pg.Client({
  connectionString: test.postgres.url,
  options: `-c search_path=${test.config.databaseSchema}`,
});
await sql.connect();

const roles = ['ad', 'ro', 'ge', 'ag', 'en'] as const;
type RoleName = (typeof roles)[number];
const clients = { BrokerService: 'broker', AgentService: 'agent', AdminService: 'admin' } as const;
const methods = [BrokerService, AgentService, AdminService].flatMap((service) =>
  service.methods.map((method) => ({ name: `${service.name}/${method.name}`, method: method as DescMethod })),
);

interface Tenant extends Things {
  readonly generatorPak: string;
  readonly agentPak: string;
  /** Enrollment token of another agent, which does not exist yet. */
  readonly enrollmentPak: string;
  readonly incarnation: bigint;
}

let tenants = 0;
/** Creates a generator with a stack of two revisions, which its agent serves by a target. */
async function makeTenant(): Promise<Tenant> {
  const name = `t${++tenants}`;
  const generator = await admin.createGenerator({ name });
  const agent = await admin.createAgent({ name, generators: [name] });
  const stack = `${name}/web`;
  await broker.createStack({ name: 'web', generator: name });
  await broker.submitDeployment({ stack, manifest: configMap(`${name}-old`) });
  const { deployment } = await broker.submitDeployment({ stack, manifest: configMap(name) });
  await broker.addTarget({ stack, agent: name });
  const { incarnation } = await test.client(agent.pak).agent.startAgent({ clusterId: 'cluster' });
  const { placements } = await broker.listPlacements({ stack });
  const { paks } = await admin.listPaks({ owner: name });
  const { diagnostic } = await broker.requestDiagnostic({ stack, agent: name });
  const enrollment = await admin.createEnrollment({ name: `${name}-new`, generators: [name] });
  return {
    stack,
    agent: name,
    generator: name,
    deployment: deployment?.id ?? '',
    diagnostic: diagnostic?.id ?? '',
    checksum: Buffer.from(deployment?.checksum ?? '', 'hex'),
    generation: placements[0]?.generation ?? 0n,
    pak: paks.find((pak) => pak.shortToken.startsWith('ag'))?.shortToken ?? '',
    generatorPak: generator.pak,
    agentPak: agent.pak,
    enrollmentPak: enrollment.pak,
    incarnation,
  };
}

const missing: Things = {
  // As long as the other tenants' names: the details of errors contain lengths.
  stack: 't0/web',
  agent: 't0',
  generator: 't0',
  deployment: '00000000-0000-0000-0000-000000000000',
  diagnostic: '00000000-0000-0000-0000-000000000000',
  pak: 'ag00000000',
  checksum: Buffer.alloc(32),
  generation: 1n,
};

const readOnly = await admin.createAdminPak({ name: 'reader', readOnly: true });
const own = await makeTenant();
const other = await makeTenant();
const revoked = await makeTenant();
await admin.rotateGeneratorPak({ generator: revoked.generator, overlap: { seconds: 0n } });
await admin.rotateAgentPak({ agent: revoked.agent, overlap: { seconds: 0n } });
const expired = await makeTenant();
await sql.query(
  `update pak set expires_at = now() - interval '1 day' where agent_id = (select id from agent where name = $1)
     or generator_id = (select id from generator where name = $1)`,
  [expired.agent],
);
await sql.query(
  `insert into change (kind, ref) select 'key', k.id from pak k left join agent a on a.id = k.agent_id
     left join generator g on g.id = k.generator_id where $1 in (a.name, g.name)`,
  [expired.agent],
);
for (const pak of [expired.generatorPak, expired.agentPak])
  await eventually(() =>
    test
      .client(pak)
      .broker.whoAmI({})
      .then(
        () => false,
        () => true,
      ),
  );
// A job purges rows a minute after their deletion. Here they stay, so that only calls change rows.
await sql.query(`create function stay() returns trigger language plpgsql as 'begin return null; end'`);
for (const table of ['stack', 'generator'])
  await sql.query(`create trigger stay before delete on ${table} for each row execute function stay()`);
const deleted = await makeTenant();
await admin.deleteGenerator({ generator: deleted.generator, cascade: true });
await admin.deleteAgent({ agent: deleted.agent, orphan: true });

/** Returns the key of a role for the owner of the tenant's resources. */
const pakOf = (role: RoleName, tenant: Tenant) =>
  ({ ad: test.adminPak, ro: readOnly.pak, ge: tenant.generatorPak, ag: tenant.agentPak, en: tenant.enrollmentPak })[
    role
  ];

const story = suite('authorization');
story.after(async () => {
  await sql.end();
  await test.close();
});

story('is specified for every RPC, and matches the contract', () => {
  assert.equal(Object.keys(table).sort(), methods.map(({ name }) => name).sort());
  for (const { name, method } of methods) {
    const written = rowOf(name).who.split(' ') as RoleName[];
    assert.equal([...rolesOf(method)].sort(), written.map((role) => roleOf[role] as number).sort(), name);
  }
});

/** Limits a run to some rows of the table. */
const walked = new RegExp(process.env.BROKKR_TABLE_ROWS ?? '');

for (const { name, method } of methods.filter(({ name }) => walked.test(name))) {
  const row = rowOf(name);
  const send = (pak: string | undefined, of: Things, tenant = own) => call(name, method, row, pak, of, tenant);

  story(`${name} is refused without a valid key, and without the right one`, async () => {
    const before = await fingerprint(sql);
    const bad = [
      ['none', undefined],
      ['malformed', 'password'],
      ['revoked', revoked.generatorPak],
      ['revoked', revoked.agentPak],
      ['expired', expired.generatorPak],
      ['expired', expired.agentPak],
      ["a deleted generator's", deleted.generatorPak],
      ["a deleted agent's", deleted.agentPak],
    ] as const;
    await Promise.all(
      bad.flatMap(([what, pak]) =>
        [own, other, missing].map(async (things) =>
          assert.is(codeOf(await send(pak, things)), 'Unauthenticated', `with a key that is ${what}`),
        ),
      ),
    );
    for (const role of roles.filter((candidate) => !row.who.includes(candidate)))
      for (const things of [own, other, missing]) {
        const answer = await send(pakOf(role, own), things);
        assert.is(codeOf(answer), 'PermissionDenied', `as ${role}`);
        assert.is((answer as ConnectError).rawMessage.includes(method.name), true);
      }
    assert.equal(await fingerprint(sql), before, 'a refusal changed something');
  });

  for (const role of row.who.split(' ') as RoleName[]) {
    story(`${name} works for ${role}on its own resources`, async () => {
      const tenant = await makeTenant();
      // A separate key to rotate, so that the others stay valid.
      const spare = role === 'ad' || role === 'ro' ? await makeAdmin(role) : pakOf(role, tenant);
      const answer = await send(spare, tenant, tenant);
      assert.is(codeOf(answer), row.own === undefined ? 'OK' : Code[row.own], String(answer));
    });

    if (row.aboutNothing) continue;
    story(`${name} answers ${role} alike about missing and foreign resources`, async () => {
      const before = await fingerprint(sql);
      const absent = await send(pakOf(role, own), missing);
      assertHidden(row, absent, 'a missing one');
      const sees = role === 'ad' || role === 'ro' || row.openTo?.includes(role);
      if (!sees) {
        const others = await send(pakOf(role, own), other);
        assertHidden(row, others, "another's");
        if (!row.wordsDiffer) assert.equal(wordsOf(others, other), wordsOf(absent, missing));
      }
      assert.equal(await fingerprint(sql), before, 'a refusal changed something');
    });
  }
}

story('a tenant’s stack never reaches another tenant’s agent, by any name', async () => {
  const holder = test.client(own.generatorPak).broker;
  const before = await fingerprint(sql);
  const id = (await admin.getAgent({ agent: other.agent })).agent?.id;
  for (const agent of [other.agent, id, missing.agent]) {
    for (const send of [holder.addTarget, holder.removeTarget, holder.explainPlacement]) {
      const error = await send({ stack: own.stack, agent }).then(
        () => undefined,
        (reason: unknown) => ConnectError.from(reason),
      );
      assert.is(error?.rawMessage, `agent "${agent}" not found`);
    }
  }
  assert.equal(await fingerprint(sql), before);
});

story('ids grant no more access than names', async () => {
  const { stack } = await broker.getStack({ stack: other.stack });
  const { generator } = await admin.getGenerator({ generator: other.generator });
  const things = { ...other, stack: stack?.id ?? '', generator: generator?.id ?? '' };
  const before = await fingerprint(sql);
  for (const { name, method } of methods) {
    const row = rowOf(name);
    if (!row.who.includes('ge') || row.aboutNothing) continue;
    const answer = await call(name, method, row, own.generatorPak, things, own);
    assertHidden(row, answer, name);
  }
  assert.equal(await fingerprint(sql), before);
});

story('lists show a generator only its own resources', async () => {
  const holder = test.client(own.generatorPak).broker;
  const { stacks } = await holder.listStacks({});
  assert.equal(
    stacks.map((stack) => stack.generator),
    stacks.map(() => own.generator),
  );
  const { agents } = await holder.listAgents({});
  assert.equal(
    agents.map((agent) => [agent.name, agent.generators]),
    [[own.agent, [own.generator]]],
  );
  const { deployments } = await holder.listDeployments({});
  assert.ok(deployments.length > 0 && deployments.every((deployment) => deployment.stack === own.stack));
  const { placements } = await holder.listPlacements({});
  assert.ok(placements.length > 0 && placements.every((placement) => placement.stack === own.stack));
  const { stack } = await broker.getStack({ stack: other.stack });
  await test.client(other.agentPak).agent.reportEvents({
    incarnation: other.incarnation,
    events: [{ sequence: 1n, stackId: stack?.id, deploymentId: other.deployment, outcome: 1, message: 'applied' }],
  });
  assert.equal((await holder.listEvents({})).events, []);
  const { events } = await test.client(other.generatorPak).broker.listEvents({});
  assert.equal(
    events.map(({ message }) => message),
    ['applied'],
  );
});

story('an agent reports only about stacks that it serves', async () => {
  const { stack } = await broker.getStack({ stack: other.stack });
  const { receipts } = await test.client(own.agentPak).agent.reportEvents({
    incarnation: own.incarnation,
    events: [{ sequence: 1_000n, stackId: stack?.id, outcome: 1, message: 'not mine' }],
  });
  assert.equal(
    receipts.map(({ receipt, reason }) => [receipt, reason]),
    [[3, 'the agent has no placement of this stack']],
  );
  const { events } = await broker.listEvents({ stack: other.stack });
  assert.not.ok(events.some(({ message }) => message === 'not mine'));
  const { placements } = await broker.listPlacements({ stack: other.stack });
  const { stackId, desiredDeploymentId: deploymentId, generation } = placements[0] ?? {};
  await test.client(own.agentPak).agent.reportHealth({
    incarnation: own.incarnation,
    stacks: [{ stackId, deploymentId, generation, health: 4, message: 'not mine' }],
  });
  assert.is((await broker.getStackHealth({ stack: other.stack })).health, 0);
});

story('no key is logged', () => assertNoKeys(test.logged));

story.run();

function rowOf(name: string): Row {
  const row = table[name];
  assert.ok(row, `${name} has no row in the table`);
  return row;
}

/** Returns the first answer of a call, or its error. */
async function call(
  name: string,
  method: DescMethod,
  row: Row,
  pak: string | undefined,
  of: Things,
  { incarnation }: Tenant,
): Promise<unknown> {
  const [service] = name.split('/') as [keyof typeof clients];
  const client = test.client(pak ?? '', { ...(pak === undefined && { pak: undefined }), interceptors: [elsewhere()] });
  const send = client[clients[service]][method.localName as never] as (request: unknown) => unknown;
  const request = {
    ...row.request(of),
    ...(service === 'AgentService' && name !== 'AgentService/StartAgent' && { incarnation }),
  };
  try {
    if (method.methodKind === 'unary') return await send(request);
    const answers = send(method.methodKind === 'bidi_streaming' ? hello(incarnation) : request);
    for await (const first of answers as AsyncIterable<unknown>) return first;
    return undefined;
  } catch (error) {
    return ConnectError.from(error);
  } finally {
    client.close();
  }
}

let sources = 0;
/** Makes calls come from an address of their own. */
function elsewhere(): Interceptor {
  sources += 1;
  const at = sources;
  return (next) => (request) => {
    request.header.set('x-forwarded-for', `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`);
    return next(request);
  };
}

async function* hello(incarnation: bigint) {
  yield { message: { case: 'hello', value: { incarnation } } };
}

function codeOf(answer: unknown): string {
  return answer instanceof ConnectError ? (Code[answer.code] ?? '') : 'OK';
}

function assertHidden(row: Row, answer: unknown, what: string): void {
  if (row.emptyList === undefined) assert.is(codeOf(answer), 'NotFound', `${what}: ${answer}`);
  else assert.equal((answer as Record<string, unknown>)[row.emptyList], [], what);
}

/** Serialises an answer without the requested names. */
function wordsOf(answer: unknown, asked: Things): string {
  if (!(answer instanceof ConnectError)) return JSON.stringify(answer);
  const names = Object.values(asked).map((value) =>
    value instanceof Uint8Array ? Buffer.from(value).toString('hex') : String(value),
  );
  const details = JSON.stringify(
    answer.details.map((detail) =>
      'value' in detail ? Buffer.from(detail.value as Uint8Array).toString('latin1') : '',
    ),
  );
  return names
    .sort((a, b) => b.length - a.length)
    .filter((name) => name.length > 1)
    .reduce((text, asked) => text.replaceAll(asked, '…'), answer.rawMessage + details.replace(/[^ -~]/g, ''));
}

let admins = 0;
async function makeAdmin(role: 'ad' | 'ro'): Promise<string> {
  return (await admin.createAdminPak({ name: `${role}${++admins}`, readOnly: role === 'ro' })).pak;
}

function configMap(name: string): Uint8Array {
  return Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } }));
}
