import { randomBytes } from 'node:crypto';
import { Code } from '@connectrpc/connect';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Diagnostic, DiagnosticState } from '../../gen/brokkr/v1/diagnostic_pb.ts';
import { Health } from '../../gen/brokkr/v1/health_pb.ts';
import { SessionHint } from '../../gen/brokkr/v1/target_state_pb.ts';
import { configMap, startTestAgent, type TestAgent } from '../../test/agents.ts';
import { eventually, refused, startTestBroker } from '../../test/broker.ts';
import { openSession } from '../../test/sessions.ts';
import { openMigrated } from '../open-store.ts';
import { dropExpired } from './store.ts';

const test = await startTestBroker({ brokers: 2, config: { encryptionKeys: [randomBytes(32)] } });
const db = await openMigrated(test.config);
const { admin, broker } = test.client();
const diagnostics = suite('diagnostics');
diagnostics.after(async () => {
  await db.close();
  await test.close();
});

let things = 0;
async function scene(): Promise<{ agent: TestAgent; stack: string; about: { stack: string; agent: string } }> {
  const stack = `s${++things}`;
  const agent = await startTestAgent(test, { name: `a${things}`, labels: [stack] });
  await broker.createStack({ name: stack, labels: [stack] });
  await broker.submitDeployment({ stack, manifest: configMap(stack) });
  return { agent, stack, about: { stack, agent: agent.name } };
}

const ask = async (about: object): Promise<Diagnostic> => {
  const { diagnostic } = await broker.requestDiagnostic(about);
  assert.ok(diagnostic);
  return diagnostic;
};
const claim = async (agent: TestAgent, incarnation = agent.incarnation) =>
  (await agent.client.agent.claimDiagnostic({ incarnation })).diagnostic;
const complete = (agent: TestAgent, id: string, more: object = {}) =>
  agent.client.agent.completeDiagnostic({ incarnation: agent.incarnation, id, ...more });
const object = { apiVersion: 'apps/v1', kind: 'Deployment', namespace: 'default', name: 'web' };
const report = {
  objects: [{ object, health: Health.DEGRADED, message: '1 of 3', yaml: 'kind: Deployment', rollout: ['3: web-7d9c'] }],
  pods: [{ namespace: 'default', name: 'web-x', phase: 'Pending', containers: [{ name: 'web', logLines: ['boom'] }] }],
  events: [{ object, type: 'Warning', reason: 'BackOff', message: 'back-off', count: 3 }],
  notes: ['a Secret was masked'],
};

diagnostics('go to the agent and back', async () => {
  const { agent, about, stack } = await scene();
  const asked = await ask({ ...about, object });
  assert.equal([asked.state, asked.agent, asked.stack], [DiagnosticState.PENDING, agent.name, `system/${stack}`]);
  assert.is(await claim(await startTestAgent(test, { name: 'bystander' })), undefined);
  const claimed = await claim(agent);
  assert.equal([claimed?.id, claimed?.state, claimed?.object?.name], [asked.id, DiagnosticState.CLAIMED, 'web']);
  assert.is(await claim(agent), undefined, 'it is offered once');
  assert.is((await broker.getDiagnostic({ id: asked.id })).diagnostic?.state, DiagnosticState.CLAIMED);
  await complete(agent, asked.id, { report });
  const { diagnostic } = await broker.getDiagnostic({ id: asked.id });
  assert.ok(diagnostic?.completeTime);
  assert.is(diagnostic.state, DiagnosticState.DONE);
  assert.equal(
    [
      diagnostic.report?.objects[0]?.yaml,
      diagnostic.report?.pods[0]?.containers[0]?.logLines,
      diagnostic.report?.events[0]?.reason,
      diagnostic.report?.notes,
    ],
    ['kind: Deployment', ['boom'], 'BackOff', ['a Secret was masked']],
  );
  const [row] = await db.sql<{ report: Buffer }>('select report from diagnostic where id = $1', [asked.id]);
  assert.not(row?.report.includes('kind: Deployment'), 'it is kept encrypted');
  const { entries } = await admin.listAuditEntries({ action: 'RequestDiagnostic' });
  assert.equal([entries[0]?.objectKind, entries[0]?.object], ['diagnostic', `system/${stack} on ${agent.name}`]);
});

diagnostics('that fail say why', async () => {
  const { agent, about } = await scene();
  const { id } = await ask(about);
  await claim(agent);
  await complete(agent, id, { message: 'the cluster does not answer' });
  const { diagnostic } = await broker.getDiagnostic({ id });
  assert.equal(
    [diagnostic?.state, diagnostic?.message, diagnostic?.report],
    [DiagnosticState.FAILED, 'the cluster does not answer', undefined],
  );
});

diagnostics('keep the first answer', async () => {
  const { agent, about } = await scene();
  const { id } = await ask(about);
  await refused(complete(agent, id, { report }), Code.FailedPrecondition, 'not claimed');
  await claim(agent);
  await complete(agent, id, { message: 'first' });
  await complete(agent, id, { report });
  assert.is((await broker.getDiagnostic({ id })).diagnostic?.message, 'first');
});

diagnostics('wake an agent whose session another broker holds, and who waits for the answer', async () => {
  const { agent, about } = await scene();
  const session = await openSession(test, agent, test.urls[1] ?? '');
  const { id } = await ask(about);
  await eventually(() => session.hints.includes(SessionHint.DIAGNOSTIC_WAITING));
  const waiting = broker.getDiagnostic({ id, wait: { seconds: 30n, nanos: 0 } });
  await claim(agent);
  await test
    .client(agent.pak, { url: test.urls[1] ?? '' })
    .agent.completeDiagnostic({ incarnation: agent.incarnation, id, report });
  assert.is((await waiting).diagnostic?.state, DiagnosticState.DONE);
  await session.end();
});

diagnostics('that were asked for before the session are hinted at too', async () => {
  const { agent, about } = await scene();
  await ask(about);
  const session = await openSession(test, agent);
  await eventually(() => session.hints.includes(SessionHint.DIAGNOSTIC_WAITING));
  await session.end();
});

diagnostics('answer as they are when the wait is over', async () => {
  const { about } = await scene();
  const { id } = await ask(about);
  const { diagnostic } = await broker.getDiagnostic({ id, wait: { seconds: 0n, nanos: 200_000_000 } });
  assert.is(diagnostic?.state, DiagnosticState.PENDING);
});

diagnostics('let many wait at once without holding up other calls', async () => {
  const { agent, about } = await scene();
  const { id } = await ask(about);
  const waiting = Array.from({ length: 40 }, () => broker.getDiagnostic({ id, wait: { seconds: 30n, nanos: 0 } }));
  await broker.getStack({ stack: about.stack });
  await claim(agent);
  await complete(agent, id, { report });
  for (const one of await Promise.all(waiting)) assert.is(one.diagnostic?.state, DiagnosticState.DONE);
});

diagnostics('are offered again when the claim is a minute old, or of a start that was replaced', async () => {
  const { agent, about } = await scene();
  const { id } = await ask(about);
  await claim(agent);
  assert.is(await claim(agent), undefined);
  await db.sql(`update diagnostic set claimed_at = now() - interval '61 seconds' where id = $1`, [id]);
  assert.is((await claim(agent))?.id, id);
  const old = agent.incarnation;
  await agent.start();
  assert.is((await claim(agent))?.id, id);
  await refused(claim(agent, old), Code.FailedPrecondition, 'was replaced');
  await refused(
    agent.client.agent.completeDiagnostic({ incarnation: old, id, report }),
    Code.FailedPrecondition,
    'was replaced',
  );
  await complete(agent, id, { report });
});

diagnostics('are given out one by one, the oldest first, each once', async () => {
  const { agent, about } = await scene();
  const ids: string[] = [];
  for (let at = 0; at < 6; at += 1) ids.push((await ask(about)).id);
  assert.is((await claim(agent))?.id, ids[0]);
  const claimed = await Promise.all(Array.from({ length: 8 }, () => claim(agent)));
  const got = claimed.flatMap((one) => (one ? [one.id] : []));
  assert.is(new Set(got).size, got.length, 'no question twice');
  for (let next = await claim(agent); next; next = await claim(agent)) got.push(next.id);
  assert.equal(got.sort(), ids.slice(1).sort());
});

diagnostics('are bounded for each agent, in number and size', async () => {
  const { agent, about } = await scene();
  const asked = await Promise.allSettled(Array.from({ length: 14 }, () => ask(about)));
  assert.is(asked.filter(({ status }) => status === 'fulfilled').length, 10);
  await refused(ask(about), Code.ResourceExhausted, 'enough diagnostics');
  const first = await claim(agent);
  assert.ok(first);
  const yaml = 'x'.repeat(65_536);
  const big = { objects: Array.from({ length: 20 }, () => ({ object, yaml })) };
  await refused(complete(agent, first.id, { report: big }), Code.ResourceExhausted);
  await refused(
    complete(agent, first.id, { report: { objects: [{ object, yaml: `${yaml}x` }] } }),
    Code.InvalidArgument,
    'yaml',
  );
  await complete(agent, first.id, { report: { objects: big.objects.slice(0, 14) } });
  assert.is((await broker.getDiagnostic({ id: first.id })).diagnostic?.report?.objects.length, 14);
  await ask(about);
});

diagnostics('are about what the agent serves, and about objects that can be', async () => {
  const { agent, stack, about } = await scene();
  const other = await scene();
  await refused(ask({ stack, agent: other.agent.name }), Code.FailedPrecondition, 'does not serve');
  await refused(ask({ ...about, object: { kind: 'Pod' } }), Code.InvalidArgument, 'object');
  await refused(ask({ ...about, object: { ...object, name: 'x'.repeat(254) } }), Code.InvalidArgument, 'object');
  await broker.deleteStack({ stack });
  await eventually(async () => (await agent.removingStacks()).length === 1);
  await ask(about);
});

diagnostics('are seen by the stack’s generator and admins only, and expire', async () => {
  const { pak } = await admin.createGenerator({ name: 'stranger' });
  const stranger = test.client(pak).broker;
  const { agent, about } = await scene();
  const { id } = await ask(about);
  await refused(stranger.getDiagnostic({ id }), Code.NotFound, 'not found');
  await refused(stranger.requestDiagnostic(about), Code.NotFound, 'not found');
  const other = await startTestAgent(test, { name: 'other' });
  await refused(complete(other, id, { report }), Code.NotFound, 'not found');
  await db.sql(`update diagnostic set expires_at = now() - interval '1 second' where id = $1`, [id]);
  await refused(broker.getDiagnostic({ id }), Code.NotFound, 'not found');
  assert.is(await claim(agent), undefined);
  await refused(complete(agent, id, { report }), Code.NotFound, 'not found');
  assert.ok((await dropExpired(db)) >= 1);
});

diagnostics('asked for twice under one request id are one', async () => {
  const { about } = await scene();
  const first = await broker.requestDiagnostic({ ...about, requestId: 'once' });
  const again = await broker.requestDiagnostic({ ...about, requestId: 'once' });
  assert.equal([again.diagnostic?.id, again.replayed], [first.diagnostic?.id, true]);
});

diagnostics('end a wait when the key does', async () => {
  const { pak } = await admin.createGenerator({ name: 'revoked' });
  await broker.createStack({ name: 'mine', generator: 'revoked' });
  const agent = await startTestAgent(test, { name: 'theirs', generators: ['revoked'] });
  await broker.addTarget({ stack: 'revoked/mine', agent: agent.name });
  const { id } = await ask({ stack: 'revoked/mine', agent: agent.name });
  const waiting = test.client(pak).broker.getDiagnostic({ id, wait: { seconds: 30n, nanos: 0 } });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await admin.rotateGeneratorPak({ generator: 'revoked', overlap: { seconds: 0n, nanos: 0 } });
  await refused(waiting, Code.Unauthenticated);
});

diagnostics.run();
