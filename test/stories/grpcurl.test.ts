import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../broker.ts';
import { needs } from '../runner/needs.ts';
import { makeAuthority } from '../tools/certificates.ts';
import { goTool } from '../tools/go-tool.ts';

const run = promisify(execFile);

const tools = suite('grpcurl');
if (needs('go')) await describe();
tools.run();

async function describe(): Promise<void> {
  const grpcurl = await goTool('github.com/fullstorydev/grpcurl/cmd/grpcurl', 'v1.9.3');
  const authority = await makeAuthority();
  const server = await authority.issue('broker');
  const cleartext = await startTestBroker();
  const tls = await startTestBroker({
    postgres: cleartext.postgres,
    config: { tls: { ...server, clientCaFile: undefined } },
  });
  tools.after(async () => {
    await tls.close();
    await cleartext.close();
    authority.remove();
  });

  for (const [name, test, flags] of [
    ['clear text', cleartext, ['-plaintext']],
    ['TLS', tls, ['-cacert', authority.caFile]],
  ] as const) {
    const { host } = new URL(test.url);
    const call = async (more: readonly string[], ...target: readonly string[]) => {
      const { stdout } = await run(grpcurl, [...flags, '-max-time', '20', ...more, host, ...target]);
      return stdout;
    };
    const key = ['-H', `authorization: Bearer ${test.adminPak}`];

    tools(`lists and describes the services over ${name}, without a key`, async () => {
      const services = (await call([], 'list')).trim().split('\n').sort();
      assert.equal(services, [
        'brokkr.v1.AdminService',
        'brokkr.v1.AgentService',
        'brokkr.v1.BrokerService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ]);
      for (const service of services) assert.ok((await call([], 'list', service)).includes(service));
      const described = await call([], 'describe', 'brokkr.v1.BrokerService.SubmitDeployment');
      assert.match(described, 'brokkr.v1.SubmitDeploymentRequest');
      assert.match(await call([], 'describe', '.brokkr.v1.CreateStackRequest'), 'map<string, string> annotations');
    });

    tools(`calls, streams and shows the details of errors over ${name}`, async () => {
      const who = JSON.parse(await call(key, 'brokkr.v1.BrokerService/WhoAmI')) as { role: string };
      assert.is(who.role, 'ROLE_ADMIN');
      await call([...key, '-d', '{"name":"web"}'], 'brokkr.v1.BrokerService/CreateStack');
      const error = (await call([...key, '-d', '{"name":"A B"}'], 'brokkr.v1.BrokerService/CreateStack').catch(
        (reason: unknown) => reason,
      )) as { stderr: string };
      assert.match(error.stderr, 'InvalidArgument');
      assert.match(error.stderr, 'google.rpc.BadRequest');
      assert.match(error.stderr, '"field": "name"');
      assert.match(error.stderr, '"reason": "BAD_FIELD"');
      const health = await call([], 'grpc.health.v1.Health/Check');
      assert.match(health, 'SERVING');
      const watch = (await run(grpcurl, [
        ...[...flags, '-max-time', '2', ...key, '-d', '{"stack":"web"}', host, 'brokkr.v1.BrokerService/WatchStack'],
      ]).catch((reason: unknown) => reason)) as { stdout: string };
      assert.match(watch.stdout, '"name": "web"');
    });
  }
}
