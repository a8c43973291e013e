import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { startTestBroker } from '../../test/broker.ts';
import { testCli } from '../../test/cli.ts';
import { waitForOutput } from '../../test/tools/command.ts';
import { startTcpRelay } from '../../test/tools/tcp-relay.ts';

const retry = suite('cli: a lost answer');
const broker = await startTestBroker();
const cli = testCli(broker);
const client = broker.client();
const proxy = await startLossyProxy(Number(new URL(broker.url).port));
const through = { env: { BROKKR_SERVER: proxy.url } };
const configMap = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"}}';

retry.after(async () => {
  cli.close();
  await proxy.close();
  await broker.close();
});

/** Forwards all traffic to the broker and back until it is armed to cut the connection. */
async function startLossyProxy(port: number) {
  let armed: (() => Promise<boolean>) | undefined;
  const relay = await startTcpRelay({ host: '127.0.0.1', port }, (near, far) => {
    near.pipe(far);
    far.on('data', async (chunk: Buffer) => {
      far.pause();
      if (armed && (await armed())) {
        armed = undefined;
        near.destroy();
      } else near.write(chunk);
      far.resume();
    });
  });
  return {
    url: `http://127.0.0.1:${relay.port}`,
    /** Cuts the connection once: at the first answer of the broker for which the condition holds. */
    cutWhen: (done: () => Promise<boolean>) => {
      armed = done;
    },
    lost: () => armed === undefined,
    close: relay.close,
  };
}

retry('does not submit twice', async () => {
  await client.broker.createStack({ name: 'once' });
  proxy.cutWhen(async () => (await client.broker.getStack({ stack: 'once' })).stack?.revision === 1);
  const output = await cli.done('apply -f - --stack once', { ...through, stdin: configMap });
  assert.ok(proxy.lost(), 'the first answer was lost');
  assert.match(output, 'revision 1 submitted: 1 object');
  assert.is((await client.broker.listDeployments({ stack: 'once' })).deployments.length, 1);
});

retry('does not create twice, and shows how to replace the lost key', async () => {
  proxy.cutWhen(async () => (await client.admin.listAgents({})).agents.length === 1);
  const output = await cli.fails(1, 'create agent lonely', through);
  assert.ok(proxy.lost(), 'the first answer was lost');
  assert.match(
    output,
    /agent lonely created, but the connection broke .*\n {2}to get another key, run: brokkr rotate agent lonely/,
  );
  assert.match(await cli.done('rotate agent lonely --now'), /^brokkr_ag/);
});

retry('retries while the broker restarts', async () => {
  let answer: Promise<string> | undefined;
  await broker.restart(0, async () => {
    answer = cli.done('get stacks -o name');
    await new Promise((settle) => setTimeout(settle, 300));
  });
  assert.is(await answer, 'system/once\n');
});

retry('reports immediately that there is no broker to follow', async () => {
  const nowhere = { env: { BROKKR_SERVER: 'http://127.0.0.1:1' } };
  for (const command of ['logs once -f', 'events once -f', 'watch once', 'watch fleet'])
    assert.match(
      await cli.fails(1, command, nowhere),
      'error: the broker at http://127.0.0.1:1 cannot be reached: connection refused',
    );
});

retry('reports that it reconnects, and keeps following', async () => {
  const { onOutput, found } = waitForOutput('early');
  const reconnecting = waitForOutput('reconnecting…\n');
  const stop = new AbortController();
  const watching = cli.run('watch fleet', {
    signal: stop.signal,
    onOutput: (text) => {
      onOutput(text);
      reconnecting.onOutput(text);
      if (text.includes('late ')) stop.abort();
    },
  });
  await client.admin.createAgent({ name: 'early' });
  await Promise.race([found, watching]);
  await broker.restart(0, async () => void (await Promise.race([reconnecting.found, watching])));
  await client.admin.createAgent({ name: 'late' });
  const { stderr } = await watching;
  assert.is(stderr, 'lost the connection to the broker; reconnecting…\n');
});

retry.run();
