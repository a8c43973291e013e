import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import { ObjectAction } from '../../../gen/brokkr/v1/object_pb.ts';
import { startTestAgent } from '../../../test/agents.ts';
import { startTestBroker } from '../../../test/broker.ts';
import { testCli } from '../../../test/cli.ts';

const events = suite('cli: events');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();
const configMap = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}');

events.after(async () => {
  cli.close();
  await broker.close();
});

events('show foreign changes with -o wide', async () => {
  const name = 'drifted';
  const agent = await startTestAgent(broker, { name, labels: [name] });
  await client.broker.createStack({ name, labels: [name] });
  await client.broker.submitDeployment({ stack: name, manifest: configMap });
  const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'shop', name: 'c' };
  const change = { object, action: ObjectAction.CONFIGURED, fields: ['.data.open'], message: 'changed by kubectl' };
  const { stackId, deploymentId, generation } = await agent.entry(name);
  const report = { sequence: 1n, stackId, deploymentId, generation, message: '1 object was applied again' };
  const reported = [{ ...report, outcome: Outcome.REPAIRED, objects: [change] }];
  await agent.client.agent.reportEvents({ incarnation: agent.incarnation, events: reported });
  const output = await cli.done(`get events --stack ${name} --outcome repaired -o wide`);
  assert.match(
    output,
    / repaired +1 object was applied again +configured ConfigMap shop\/c \.data\.open \(changed by kubectl\)\n$/,
  );
  assert.not.match(await cli.done(`get events --stack ${name}`), 'kubectl');
});

events.run();
