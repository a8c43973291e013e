// time limit: 10 min
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { StatusError } from '../../sandbox/cluster/core/status.ts';
import { type FaultyCluster, openRealFaultyCluster, openSimulatedFaultyCluster } from '../agent/faulty-cluster.ts';
import { configMap } from '../agent/test-agent.ts';
import { openEnvironment, until } from '../agent/test-environment.ts';
import { needs } from '../runner/needs.ts';

/** Number of objects that each revision changes; the agent is killed once at each of them. */
const objectCount = 5;

const environment = await openEnvironment();
const folder = mkdtempSync(join(tmpdir(), 'brokkr-agent-kills-'));
const sites = [await openSimulatedFaultyCluster(), ...(needs('go') ? [await openRealFaultyCluster()] : [])];
const story = suite('an agent that is killed while it applies');
story.after(async () => {
  await environment.close();
  for (const faultyCluster of sites) await faultyCluster.close();
  rmSync(folder, { recursive: true, force: true });
});

for (const faultyCluster of sites)
  story(
    `converges after SIGKILL at each object of an apply, and deletes only what is to go: ${faultyCluster.name}`,
    async () => {
      const { name, proxy } = faultyCluster;
      const variables = {
        PATH: process.env.PATH,
        BROKKR_BROKER_URL: environment.broker.url,
        BROKKR_PAK: await environment.createAgent(name),
        KUBECONFIG: join(folder, `${name}.kubeconfig`),
        BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
        BROKKR_LOG_LEVEL: 'warn',
      };
      writeFileSync(variables.KUBECONFIG, proxy.kubeconfig, { mode: 0o600 });
      let agent = startAgent(variables);
      try {
        await environment.submit(name, revision(name, 0), [name]);
        await environment.untilPhase(name, name, PlacementPhase.APPLIED);
        const uids = await uidsOf(faultyCluster);
        for (let at = 1; at <= objectCount; at++) {
          const killed = killAt(faultyCluster, agent, at);
          await environment.submit(name, revision(name, at));
          await killed;
          agent = startAgent(variables);
          await environment.untilPhase(name, name, PlacementPhase.APPLIED);
          await check(faultyCluster, at, uids);
        }
      } finally {
        await end(agent, 'SIGTERM');
      }
    },
  );
story.run();

/** Returns objects that stay and change, and one that only this revision has. */
function revision(name: string, number: number) {
  const stay = Array.from({ length: objectCount }, (_, index) =>
    configMap(`${name}-${index}`, { revision: String(number) }, 'default'),
  );
  return [...stay, configMap(`${name}-only-${number}`, {}, 'default')];
}

function startAgent(environment: NodeJS.ProcessEnv): ChildProcess {
  const main = resolve(import.meta.dirname, '../../agent/main.ts');
  return spawn(process.execPath, [main], { env: environment, stdio: ['ignore', 'inherit', 'inherit'] });
}

/**
 * Kills the agent at the nth object that it applies, and resolves when it is dead; every other time that object is not
 * applied.
 */
async function killAt({ name, proxy }: FaultyCluster, agent: ChildProcess, nth: number): Promise<void> {
  let count = 0;
  const { promise, resolve: killed } = Promise.withResolvers<void>();
  const forget = proxy.onRequest(async ({ method, path, query }) => {
    const isApply = method === 'PATCH' && path.includes(`/configmaps/${name}-`) && !query.includes('dryRun');
    if (!isApply || ++count !== nth) return;
    await end(agent, 'SIGKILL');
    killed();
    if (nth % 2 === 0) throw new StatusError(503, 'the agent that asked is dead');
  });
  await promise;
  forget();
}

async function end(agent: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (agent.exitCode !== null || agent.signalCode !== null) return;
  const gone = once(agent, 'exit');
  agent.kill(signal);
  await gone;
}

async function check(faultyCluster: FaultyCluster, number: number, uids: ReadonlyMap<string, string>): Promise<void> {
  // Pruned objects may still be terminating when the stack is applied.
  const wanted = revision(faultyCluster.name, number).map(({ metadata }) => metadata.name);
  await until(
    async () => [...(await uidsOf(faultyCluster)).keys()].sort().join() === wanted.sort().join(),
    () => `the objects of revision ${number}`,
  );
  const now = await uidsOf(faultyCluster);
  for (const [name, uid] of uids) if (!name.includes('-only-')) assert.is(now.get(name), uid, `${name} was made anew`);
  for (const object of await mapsOf(faultyCluster))
    if (!object.metadata.name.includes('-only-')) assert.equal(object.data, { revision: String(number) });
}

async function mapsOf({ name, observer }: FaultyCluster) {
  const maps = await observer.list('v1', 'ConfigMap');
  return maps.filter(({ metadata }) => metadata.namespace === 'default' && metadata.name.startsWith(`${name}-`));
}

async function uidsOf(faultyCluster: FaultyCluster): Promise<Map<string, string>> {
  return new Map((await mapsOf(faultyCluster)).map(({ metadata }) => [metadata.name, metadata.uid ?? '']));
}
