// time limit: 10 min
import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assertNothingLeft, npmStarts } from '../../test/tools/npm-start.ts';
import { freePorts } from '../apiserver/process.ts';
import { startSimulatedCluster } from '../cluster/cluster.ts';
import { startPostgres } from '../postgres/postgres.ts';

const starts = npmStarts();
const place = starts.folder;
const starting = suite('npm start with options');
starting.after.each(starts.end);
starting.after(starts.close);

starting('uses an existing database, and prints no password', async () => {
  const database = await startPostgres({ dataDir: join(place, 'elsewhere'), fsync: false });
  try {
    const args = ['--port', '0', '--data-dir', join(place, 'external'), '--database-url', database.url];
    const text = await starts.start(...args).ready();
    assert.match(text, /applied +on local-1/);
    assert.not.match(text, new URL(database.url).password);
    assert.not(existsSync(join(place, 'external/postgres')));
  } finally {
    await starts.end();
    await database.stop();
  }
});

starting('uses the cluster of a kubeconfig', async () => {
  const cluster = await startSimulatedCluster();
  try {
    const file = join(place, 'kubeconfig');
    writeFileSync(file, cluster.kubeconfig);
    const args = ['--port', '0', '--data-dir', join(place, 'real'), '--kubeconfig', file, '--context', 'simulated'];
    const start = starts.start(...args);
    assert.match(await start.ready(), /system\/web +revision 1 +applied +on simulated/);
    assert.ok(cluster.objects().some(({ kind }) => kind === 'Deployment'));
    start.signal('SIGTERM');
    await start.ended();
    assert.not.match(start.text(), 'took too long');
  } finally {
    await cluster.stop();
  }
});

starting('reports a taken port in one line, and leaves nothing behind', async () => {
  const [port = 0] = await freePorts(1);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()));
  const dataDir = join(place, 'taken');
  await starts.refused(
    new RegExp(`port ${port} on 127.0.0.1 is in use`),
    1,
    '--port',
    String(port),
    '--data-dir',
    dataDir,
  );
  await new Promise((resolve) => server.close(resolve));
  await assertNothingLeft(dataDir, port);
});

starting('reports an unreachable database in one line, without the password', async () => {
  const [closed] = await freePorts(1);
  const url = `postgres://me:geheim@127.0.0.1:${closed}/brokkr`;
  const args = ['--port', '0', '--data-dir', join(place, 'unreachable'), '--database-url', url];
  const text = await starts.refused(
    new RegExp(`127.0.0.1:${closed}/brokkr cannot be reached: .*ECONNREFUSED`),
    1,
    ...args,
  );
  // npm repeats the command line that it was given.
  assert.not.match(
    text
      .split('\n')
      .filter((line) => !line.startsWith('>'))
      .join('\n'),
    'geheim',
  );
});

starting('reports an unusable kubeconfig in one line', async () => {
  const dataDir = join(place, 'unreadable');
  const file = join(place, 'kubeconfig-of-none');
  await starts.refused(/--kubeconfig: .*none cannot be read/, 1, '--data-dir', dataDir, '--kubeconfig', file);
  writeFileSync(file, 'contexts: [');
  await starts.refused(/--kubeconfig: .*none cannot be read/, 1, '--data-dir', dataDir, '--kubeconfig', file);
  writeFileSync(file, 'contexts: []');
  await starts.refused(/has no context "prod"; it has none/, 1, '--kubeconfig', file, '--context', 'prod');
});

starting('reports a wrong command line in one line', async () => {
  await starts.refused(/--port: "many" is not a number from 0 to 65535/, 2, '--port', 'many');
  await starts.refused(/Unknown option '--ports'; see npm start -- --help/, 2, '--ports', '1');
});

starting('does not share a data folder with another that runs', async () => {
  const dataDir = join(place, 'shared');
  await starts.start('--port', '0', '--data-dir', dataDir).ready();
  await starts.refused(/is in use by another npm start \(process \d+\)/, 1, '--port', '0', '--data-dir', dataDir);
});

starting.run();
