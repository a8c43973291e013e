import type { DescMethod } from '@bufbuild/protobuf';
import * as assert from 'uvu/assert';
import type { BrokkrClient } from '../client/client.ts';
import { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import { Outcome } from '../gen/brokkr/v1/event_pb.ts';
import { Health } from '../gen/brokkr/v1/health_pb.ts';
import type { TestBroker } from './broker.ts';

/** Every RPC of the three services, by "Service/Method". */
export const allMethods: ReadonlyMap<string, DescMethod> = new Map(
  [BrokerService, AgentService, AdminService].flatMap((service) =>
    service.methods.map((method) => [`${service.name}/${method.name}`, method as DescMethod] as const),
  ),
);

const services = { BrokerService: 'broker', AgentService: 'agent', AdminService: 'admin' } as const;

export interface EveryCallOptions {
  /** Prefix of all names, so that one installation can be used repeatedly. */
  readonly prefix?: string;
  /** Builds the manifest of a revision. */
  readonly manifest?: (revision: number) => Uint8Array;
  /** Text for every description and message that a caller may choose. */
  readonly words?: string;
}

export interface Call {
  /** "Service/Method" */
  readonly name: string;
  readonly method: DescMethod;
  readonly request: Readonly<Record<string, unknown>>;
  /** The kind of key that the call is made with. */
  readonly caller: 'admin' | 'generator' | 'agent' | 'enrollment';
  readonly client: BrokkrClient;
}

/**
 * Calls every RPC successfully at least once, in an order in which each finds what it needs, and deletes everything in
 * the end. `send` makes each call and returns its (first) answer. Asserts that no RPC was left out. Returns every key
 * that was issued.
 */
export async function callEveryRpc(
  broker: TestBroker,
  send: (call: Call) => Promise<unknown> = performCall,
  { prefix = '', manifest = configMap, words = 'words' }: EveryCallOptions = {},
): Promise<string[]> {
  const called = new Set<string>();
  const paks: string[] = [];
  const clients: Partial<Record<Call['caller'], BrokkrClient>> = { admin: broker.client() };
  let requests = 0;
  const call = async <A = Record<string, unknown>>(
    caller: Call['caller'],
    name: string,
    request: Record<string, unknown> = {},
  ): Promise<A> => {
    const method = allMethods.get(name);
    const client = clients[caller];
    assert.ok(method && client, name);
    called.add(name);
    const named = method.input.fields.some((field) => field.name === 'request_id');
    const withId = named ? { ...request, requestId: `${prefix}request-${++requests}` } : request;
    const answer = (await send({ name, method, request: withId, caller, client })) as A & { pak?: string };
    if (answer?.pak) paks.push(answer.pak);
    return answer;
  };
  const [ci, edge, web] = [`${prefix}ci`, `${prefix}edge`, `${prefix}ci/web`];

  const generator = await call<{ pak: string }>('admin', 'AdminService/CreateGenerator', {
    name: ci,
    description: words,
  });
  const agent = await call<{ pak: string }>('admin', 'AdminService/CreateAgent', { name: edge, description: words });
  const joined = `${prefix}joined`;
  const enrollment = await call<{ pak: string }>('admin', 'AdminService/CreateEnrollment', {
    name: joined,
    description: words,
  });
  clients.enrollment = broker.client(enrollment.pak);
  await call('enrollment', 'AgentService/Enroll', { nonce: Buffer.alloc(32, 1) });
  clients.generator = broker.client(generator.pak);
  clients.agent = broker.client(agent.pak);
  const start = () => call<{ incarnation: bigint }>('agent', 'AgentService/StartAgent', { clusterId: `${prefix}c` });
  let { incarnation } = await start();
  await call('agent', 'AgentService/RegisterGenerator', { generator: ci, incarnation });
  await call('admin', 'AdminService/AddRegistration', { agent: edge, generator: ci, serviceAccount: 'a/b' });
  await call('generator', 'BrokerService/CreateStack', { name: 'web' });
  await call('generator', 'BrokerService/AddTarget', { stack: web, agent: edge });
  for (const revision of [1, 2])
    await call('generator', 'BrokerService/SubmitDeployment', {
      stack: web,
      manifest: manifest(revision),
      message: words,
    });
  await call('generator', 'BrokerService/RollbackStack', { stack: web, message: words });
  await call('generator', 'BrokerService/UpdateStack', { stack: web, addLabels: ['x'], setAnnotations: { k: 'v' } });

  type Entry = { checksum: Uint8Array; stackId: string; deploymentId: string; generation: bigint; order: bigint };
  const pulled = await call<{ entries: Entry[] }>('agent', 'AgentService/PullTargetState', { incarnation });
  const [entry] = pulled.entries;
  assert.ok(entry);
  const { checksum, ...about } = entry;
  await call('agent', 'AgentService/GetManifests', { incarnation, checksums: [checksum] });
  const { stackId, deploymentId, generation, order } = about;
  const event = { sequence: 1n, stackId, deploymentId, generation, order, outcome: Outcome.APPLIED, message: words };
  await call('agent', 'AgentService/ReportEvents', {
    incarnation,
    events: [{ ...event, checksum: Buffer.from(checksum).toString('hex') }],
  });
  const objects = [
    { object: { apiVersion: 'v1', kind: 'ConfigMap', name: 'c' }, health: Health.DEGRADED, message: words },
  ];
  await call('agent', 'AgentService/ReportHealth', {
    incarnation,
    stacks: [{ stackId, deploymentId, generation, health: Health.DEGRADED, message: words, objects }],
  });
  const asked = await call<{ diagnostic: { id: string } }>('generator', 'BrokerService/RequestDiagnostic', {
    stack: web,
    agent: edge,
  });
  const { id } = asked.diagnostic;
  await call('agent', 'AgentService/ClaimDiagnostic', { incarnation });
  await call('agent', 'AgentService/CompleteDiagnostic', { incarnation, id, report: { objects }, message: words });
  await call('generator', 'BrokerService/GetDiagnostic', { id });
  await call('generator', 'BrokerService/GetStackHealth', { stack: web });
  await call('agent', 'AgentService/Heartbeat', { incarnation, cluster: { reachable: true } });
  await call('agent', 'AgentService/GetSelf');
  await call('agent', 'AgentService/Session', { message: { case: 'hello', value: { incarnation } } });

  await call('generator', 'BrokerService/WhoAmI');
  await call('generator', 'BrokerService/GetStack', { stack: web });
  await call('generator', 'BrokerService/GetDeployment', { stack: web });
  await call('generator', 'BrokerService/ExplainPlacement', { stack: web, agent: edge });
  for (const about of ['WatchStack', 'TailStack', 'ListKubernetesEvents', 'ListPodLogs'])
    await call('generator', `BrokerService/${about}`, { stack: web });
  for (const list of ['ListStacks', 'ListDeployments', 'ListAgents', 'ListPlacements', 'ListProblems', 'ListEvents'])
    await call('generator', `BrokerService/${list}`);
  await call('admin', 'AdminService/GetAgent', { agent: edge });
  await call('admin', 'AdminService/GetGenerator', { generator: ci });
  for (const list of [
    'ListAgents',
    'ListGenerators',
    'ListRegistrations',
    'ListPaks',
    'ListAuditEntries',
    'VerifyAudit',
    'GetFleet',
    'ListFleet',
    'WatchFleet',
  ])
    await call('admin', `AdminService/${list}`);

  await call('admin', 'AdminService/UpdateAgent', { agent: edge, addLabels: ['y'] });
  await call('admin', 'AdminService/PauseAgent', { agent: edge });
  await call('admin', 'AdminService/ResumeAgent', { agent: edge });
  await call('admin', 'AdminService/UpdateGenerator', {
    generator: ci,
    description: words,
    rules: { denyKinds: ['Pod'] },
    updateMask: { paths: ['description', 'rules'] },
  });
  await call('admin', 'AdminService/ConfirmRemoval', { agent: edge, stack: web, generation });
  await call('generator', 'BrokerService/RemoveTarget', { stack: web, agent: edge });
  const { placements } = await clients.generator.broker.listPlacements({ stack: web });
  await call('admin', 'AdminService/ForgetRemoval', { agent: edge, stack: web, generation: placements[0]?.generation });

  const rotated = await call<{ pak: string }>('generator', 'BrokerService/RotatePak');
  clients.generator = broker.client(rotated.pak);
  await call('admin', 'AdminService/RotateGeneratorPak', { generator: ci });
  await call('admin', 'AdminService/RotateAgentPak', { agent: edge });
  const made = await call<{ info: { shortToken: string } }>('admin', 'AdminService/CreateAdminPak', {
    name: `${prefix}guest`,
    readOnly: true,
  });
  await call('admin', 'AdminService/RevokePak', { pak: made.info.shortToken });

  await call('agent', 'AgentService/DeregisterGenerator', { generator: ci, incarnation });
  await call('admin', 'AdminService/AddRegistration', { agent: edge, generator: ci });
  await call('admin', 'AdminService/RemoveRegistration', { agent: edge, generator: ci });
  await call('admin', 'AdminService/RebindAgent', { agent: edge });
  ({ incarnation } = await start());
  await call('generator', 'BrokerService/DeleteStack', { stack: web });
  await call('admin', 'AdminService/DeleteGenerator', { generator: ci });
  for (const agent of [edge, joined]) await call('admin', 'AdminService/DeleteAgent', { agent });
  assert.equal([...called].sort(), [...allMethods.keys()].sort(), 'an RPC was left out');
  return paks;
}

/** Makes a call. For a stream, returns its first message and ends it. */
export async function performCall({ name, method, request, client }: Call): Promise<unknown> {
  const service = services[name.split('/')[0] as keyof typeof services];
  const send = client[service][method.localName as never] as (request: unknown) => unknown;
  if (method.methodKind === 'unary') return send(request);
  const answers = send(method.methodKind === 'bidi_streaming' ? one(request) : request);
  for await (const first of answers as AsyncIterable<unknown>) return first;
  return undefined;
}

async function* one(request: unknown) {
  yield request;
}

function configMap(revision: number): Uint8Array {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c', namespace: 'default' } };
  return Buffer.from(JSON.stringify({ ...object, data: { revision: String(revision) } }));
}
