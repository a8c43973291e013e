import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAllDocuments } from 'yaml';
import { fingerprintsOf } from '../../client/pin.ts';
import { startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { makeAuthority } from '../../test/tools/certificates.ts';

const test = await startTestBroker();
const { admin } = test.client();
const cli = testCli(test);
const authority = await makeAuthority();
const install = suite('cli: install and agent status');
install.after(async () => {
  cli.close();
  authority.remove();
  await test.close();
});

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly stringData?: { readonly token: string };
  readonly data?: Readonly<Record<string, string>>;
}

const objectsIn = (yaml: string) => parseAllDocuments(yaml).map((document) => document.toJS() as Manifest);
const https = 'https://broker.example.org';

install('prints one command, whose token enrolls the agent as specified', async () => {
  const { code, stdout, stderr } = await cli.run(
    `install agent north --label edge --annotation region=north --description words --broker-url ${https}`,
  );
  assert.is(code, 0, stderr);
  const [, yaml = ''] = /^kubectl apply -f - <<'EOF'\n(.*)EOF\n$/s.exec(stdout) ?? [];
  const objects = objectsIn(yaml);
  assert.equal(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`),
    [
      'Namespace /brokkr',
      'ServiceAccount brokkr/brokkr-agent',
      'Role brokkr/brokkr-agent',
      'RoleBinding brokkr/brokkr-agent',
      'ClusterRole /brokkr-brokkr-agent',
      'ClusterRoleBinding /brokkr-brokkr-agent',
      'Secret brokkr/brokkr-agent-enrollment',
      'Secret brokkr/brokkr-agent-key',
      'Deployment brokkr/brokkr-agent',
    ],
  );
  assert.match(yaml, `value: ${https}`);
  assert.match(stderr, 'can enroll once, until 20');
  assert.match(stderr, /^warning: brokkr:\S+ is not published: .* --image /m);
  assert.match(stderr, 'brokkr agent status north --wait');
  const token = objects.find(({ stringData }) => stringData)?.stringData?.token ?? '';
  assert.is(yaml.split(token).length, 2, 'only its Secret contains the token');
  assert.not.match(stderr, token);
  const { agent } = await test.client(token).agent.enroll({ nonce: Buffer.alloc(32) });
  assert.equal([agent?.name, agent?.labels, agent?.annotations], ['north', ['edge'], { region: 'north' }]);
});

install('warns when pods cannot reach the broker', async () => {
  const { stderr } = await cli.run('install agent alone -o name');
  assert.match(stderr, `warning: pods cannot reach ${test.url}`);
});

install('includes the CA of the broker, and pins it', async () => {
  const { caFile } = authority;
  const args = ['install', 'agent', 'south', '--broker-url', https, '--broker-ca', caFile, '-o', 'yaml'];
  const yaml = await cli.done(args);
  const pem = readFileSync(caFile, 'utf8');
  const map = objectsIn(yaml).find(({ kind }) => kind === 'ConfigMap');
  assert.is(map?.data?.['ca.crt'], pem);
  assert.match(yaml, /name: BROKKR_TLS_CA\n\s+value: \/etc\/brokkr\/ca\/ca.crt/);
  assert.match(yaml, fingerprintsOf(pem)[0] ?? 'none');
  const pin = 'ab'.repeat(32);
  assert.match(await cli.done(['install', 'agent', 'south', '--broker-url', https, '--ca-fingerprint', pin]), pin);
});

install('takes namespace, image and more roles; prints JSON and names', async () => {
  const args = `install agent west --namespace ops --image registry/brokkr:1 --cluster-role cluster-admin --broker-url ${https}`;
  const { items } = JSON.parse(await cli.done(`${args} -o json`)) as { items: Manifest[] };
  assert.ok(items.every(({ metadata }) => metadata.namespace === undefined || metadata.namespace === 'ops'));
  assert.match(JSON.stringify(items), '"image":"registry/brokkr:1"');
  assert.match(JSON.stringify(items), '"name":"cluster-admin"');
  assert.match(await cli.done(`${args} -o name`), /^deployment\/brokkr-agent$/m);
});

install('creates no token for invalid options', async () => {
  const before = (await admin.listPaks({})).paks.length;
  const nothing = join(cli.folder, 'nothing.pem');
  writeFileSync(nothing, 'nothing');
  for (const [args, words] of [
    ['install agent east --broker-url http://broker.example.org', 'is not encrypted'],
    ['install agent east --broker-url nonsense', 'is not a broker address'],
    [`install agent east --broker-url ${https} --broker-ca ${nothing}`, 'contains no PEM certificate'],
    [`install agent east --broker-url ${https} --ca-fingerprint ab`, 'not a SHA-256 fingerprint'],
    ['install agent east --ca-fingerprint ab', '--ca-fingerprint requires an https address'],
  ] as const)
    assert.match(await cli.fails(2, args), words);
  await admin.createAgent({ name: 'taken' });
  assert.match(
    await cli.fails(1, `install agent taken --broker-url ${https}`),
    /agent "taken" exists\n {2}choose another/,
  );
  assert.is((await admin.listPaks({})).paks.length, before + 1);
});

install('agent status shows the progress of an agent, and exits with 0 when it is ready', async () => {
  const fails = (words: RegExp) => cli.fails(1, 'agent status lab').then((text) => assert.match(text, words));
  await fails(/agent "lab" not found\n.*brokkr install agent lab/);
  const { pak, info } = await admin.createEnrollment({ name: 'lab' });
  await fails(/not ready: it has not enrolled yet; its token is valid until/);
  const { pak: key } = await test.client(pak).agent.enroll({ nonce: Buffer.alloc(32) });
  await fails(/not ready: it has never started\n.*kubectl/);
  const { agent } = test.client(key);
  const { incarnation } = await agent.startAgent({ clusterId: 'cluster', kubernetesVersion: 'v1.36.3' });
  await fails(/not ready: online, but it cannot reach its cluster/);
  const waiting = cli.run('agent status lab --wait --timeout 60s');
  await agent.heartbeat({ incarnation, cluster: { reachable: true } });
  const { code, stdout, stderr } = await waiting;
  assert.is(code, 0, stderr);
  assert.match(stdout, /^✔ agent lab: online\n.*Kubernetes: +v1.36.3/s);
  assert.is(JSON.parse(await cli.done('agent status lab -o json')).name, 'lab');
  await admin.createEnrollment({ name: 'gone' });
  const { paks } = await admin.listPaks({ owner: 'gone' });
  await admin.revokePak({ pak: paks[0]?.id });
  assert.match(await cli.fails(1, 'agent status gone'), 'was revoked');
  assert.ok(info);
});

install('agent status --wait shows what it waits for, and stops at the timeout', async () => {
  await admin.createEnrollment({ name: 'late' });
  const { code, stdout, stderr } = await cli.run('agent status late --wait --timeout 1s');
  assert.is(code, 1);
  assert.match(stdout, '✘ agent late');
  assert.match(stderr, 'waiting up to 1s: it has not enrolled yet');
});

install.run();
