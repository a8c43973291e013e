import { ConnectError } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import { configMap, connect } from '../../test/agent/test-agent.ts';
import { openEnvironment } from '../../test/agent/test-environment.ts';
import { eventually } from '../../test/broker.ts';
import { assertNoKeys } from '../../test/no-keys.ts';
import { type KubeObject, textAt } from '../object/kube-object.ts';
import { enroll } from './enroll.ts';
import { obtainKey } from './enrollment.ts';
import type { Enrollment } from './enrollment-token.ts';

const environment = await openEnvironment();
const { admin } = environment.admin;
const { signal } = new AbortController();
const secret = 'brokkr-agent-key';
const tls = { caFile: undefined, certFile: undefined, keyFile: undefined, caFingerprints: undefined };
const broker = { url: environment.broker.url, ...tls };

const closings: (() => Promise<void>)[] = [];
const enrolling = suite('an agent that enrolls');
enrolling.after(async () => {
  await environment.close();
  for (const close of closings) await close();
});

/** Has the form of a key, so that the configuration can be read; the agent itself gets none. */
const placeholder = 'brokkr_agA_B';

let names = 0;
async function invite() {
  const name = `edge-${++names}`;
  const { pak } = await admin.createEnrollment({ name, labels: [name] });
  return { name, enrollment: withToken(pak) };
}

function withToken(token: string | undefined): Enrollment {
  return { token, tokenFile: undefined, secret };
}

/** Starts a cluster with the agent's namespace, and reads the agent's Secret there. */
async function openCluster() {
  const simulated = await startSimulatedCluster({ pods: false });
  const cluster = connect({ text: simulated.kubeconfig });
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'brokkr' } }, signal);
  const read = (field: string) => {
    const text = textAt(simulated.get('v1', 'Secret', 'brokkr', secret), 'data', field);
    return text === undefined ? undefined : Buffer.from(text, 'base64').toString();
  };
  const obtain = (enrollment: Enrollment, ask: typeof enroll = enroll) =>
    obtainKey(
      { cluster, namespace: 'brokkr', enrollment, enroll: (...call) => ask(broker, ...call) },
      AbortSignal.timeout(60_000),
    );
  closings.push(async () => {
    cluster.close();
    await simulated.stop();
  });
  return { simulated, cluster, read, obtain };
}

const works = (pak: string | undefined) =>
  environment.broker
    .client(pak)
    .broker.whoAmI({})
    .then(
      ({ name }) => name,
      (error: unknown) => ConnectError.from(error).rawMessage,
    );

enrolling('gets its key, applies a stack, and starts again from its Secret without a token', async () => {
  const { simulated } = await openCluster();
  const { name, enrollment } = await invite();
  const start = (how: Enrollment) =>
    environment.startAgent(placeholder, simulated.kubeconfig, { config: { pak: undefined, enrollment: how } });
  const first = await start(enrollment);
  await environment.submit(name, [configMap(name, { k: '1' })], [name]);
  await environment.untilPhase(name, name, PlacementPhase.APPLIED);
  await first.close();
  const second = await start(withToken(undefined));
  await environment.submit(name, [configMap(name, { k: '2' })]);
  await environment.untilPhase(name, name, PlacementPhase.APPLIED);
  await second.close();
  assert.is((await admin.getAgent({ agent: name })).agent?.incarnation, 2n);
});

enrolling('waits and says why when its token is not valid', async () => {
  const { simulated } = await openCluster();
  const { enrollment } = await invite();
  await admin.revokePak({ pak: enrollment.token?.split('_')[1] });
  const agent = await environment.startAgent(placeholder, simulated.kubeconfig, {
    config: { pak: undefined, enrollment },
  });
  await eventually(async () => {
    const answer = await fetch(`${agent.healthUrl}/readyz`);
    return (
      answer.status === 503 &&
      /broker: the enrollment token is not valid.*brokkr install agent/.test(await answer.text())
    );
  }, 60_000);
  await agent.close();
});

enrolling('stores its key, and nothing that could obtain another one', async () => {
  const { read, obtain } = await openCluster();
  const { name, enrollment } = await invite();
  const pak = await obtain(enrollment);
  assert.is(await works(pak), name);
  assert.is(read('pak'), pak);
  assert.is(read('nonce'), undefined);
  assert.not.match(JSON.stringify(read('enrollment')), enrollment.token?.split('_')[2] ?? 'none');
  assert.is(await obtain(enrollment), pak);
  assert.is(await obtain(withToken(undefined)), pak);
});

enrolling('gets another key with the same token when it dies before it has stored the first', async () => {
  const { simulated, read, obtain } = await openCluster();
  const { name, enrollment } = await invite();
  let lost = '';
  const forget = simulated.faults.add({ method: 'PUT', pathIncludes: '/secrets/', status: 500 });
  await obtain(enrollment, async (...call) => {
    lost = await enroll(...call);
    return lost;
  }).then(
    () => assert.unreachable('the key cannot be kept'),
    () => {},
  );
  forget();
  assert.ok(read('nonce'));
  assert.is(await works(lost), name);
  const pak = await obtain(enrollment);
  assert.is(await works(pak), name);
  assert.is(await works(lost), 'the key is not valid');
  assert.is(read('nonce'), undefined);
});

enrolling('gets another key when the answer is lost', async () => {
  const { obtain } = await openCluster();
  const { name, enrollment } = await invite();
  await obtain(enrollment, async (...call) => {
    await enroll(...call);
    throw new Error('the connection broke');
  }).then(
    () => assert.unreachable('the answer was lost'),
    () => {},
  );
  assert.is(await works(await obtain(enrollment)), name);
});

enrolling('does not enroll when it cannot store its nonce', async () => {
  const { simulated, obtain } = await openCluster();
  const { enrollment } = await invite();
  const forget = simulated.faults.add({ method: 'POST', pathIncludes: '/secrets', status: 403 });
  let asked = 0;
  await obtain(enrollment, async () => {
    asked += 1;
    return '';
  }).then(
    () => assert.unreachable('it may not write'),
    () => {},
  );
  forget();
  assert.is(asked, 0);
});

enrolling('ends with a valid key when two agents of one cluster enroll at once', async () => {
  const { read, obtain } = await openCluster();
  const { name, enrollment } = await invite();
  const atLast = () => eventually(() => obtain(enrollment), 60_000);
  await Promise.all([atLast(), atLast()]);
  assert.is(await works(read('pak')), name);
});

enrolling('enrolls again with another token, and keeps a key that somebody else stored', async () => {
  const { cluster, simulated, read, obtain } = await openCluster();
  const first = await invite();
  const second = await invite();
  await obtain(first.enrollment);
  assert.is(await works(await obtain(second.enrollment)), second.name);
  const { pak } = await admin.rotateAgentPak({ agent: second.name });
  const live = simulated.get('v1', 'Secret', 'brokkr', secret) as unknown as KubeObject;
  await cluster.replace({ ...live, data: { pak: Buffer.from(pak).toString('base64') } }, signal);
  assert.is(await obtain(second.enrollment), pak);
  assert.is(read('pak'), pak);
});

enrolling('says what is missing without a key and a token', async () => {
  const { obtain } = await openCluster();
  const tokenFile = '/nonexistent/token';
  for (const enrollment of [withToken(undefined), { token: undefined, tokenFile, secret }])
    await obtain(enrollment).then(
      () => assert.unreachable('it has no key'),
      (error: Error) =>
        assert.match(error.message, 'Secret brokkr/brokkr-agent-key holds no key, and there is no token'),
    );
});

enrolling('logs no key and no token', () => {
  assertNoKeys(environment.logLines);
  assertNoKeys(environment.broker.logged);
});

enrolling.run();
