import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { type SimulatedCluster, startSimulatedCluster } from '../../sandbox/cluster/cluster.ts';
import type { Postgres } from '../../sandbox/postgres/postgres.ts';
import { createProgram, type Program } from '../tools/program.ts';

/** A broker and an agent, each a process that runs the programs of some tree, and the agent's cluster. */
export interface Installation {
  /** Name of the agent, and its label. */
  readonly agent: string;
  readonly admin: BrokkrClient;
  readonly cluster: SimulatedCluster;
  /** Ends the broker, and starts that of another tree on the same database and address. */
  upgradeBroker(root: string): Promise<void>;
  /** Ends the agent, and starts that of another tree on the same cluster, which stores its key. */
  upgradeAgent(root: string): Promise<void>;
  close(): Promise<void>;
}

export interface InstallationOptions {
  readonly name: string;
  /** Folder for the files of this installation. */
  readonly folder: string;
  readonly postgres: Postgres;
  /** The tree whose broker runs. */
  readonly brokerRoot: string;
  /** The tree whose agent runs. */
  readonly agentRoot: string;
}

/** Starts a broker on a schema of its own, and an agent that enrolls with it. Rejects with nothing left running. */
export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const { name, postgres, brokerRoot, agentRoot } = options;
  await using failing = new AsyncDisposableStack();
  const folder = join(options.folder, name);
  mkdirSync(folder);
  const adminPakFile = join(folder, 'pak');
  const brokerEnvironment = {
    BROKKR_DATABASE_URL: postgres.url,
    BROKKR_DATABASE_SCHEMA: name.replaceAll('-', '_'),
    BROKKR_METRICS_LISTEN: '127.0.0.1:0',
    BROKKR_ADMIN_PAK_FILE: adminPakFile,
  };
  const runBroker = (root: string, listen: string) =>
    createProgram({
      root,
      file: 'broker/main.ts',
      env: { ...brokerEnvironment, BROKKR_LISTEN: listen },
      ready: /the broker is ready/,
    });
  let broker: Program = runBroker(brokerRoot, '127.0.0.1:0');
  failing.defer(() => broker.stop());
  const { url } = JSON.parse(await broker.start()) as { url: string };
  const admin = connectBroker({ url, pak: readFileSync(adminPakFile, 'utf8').trim() });
  failing.defer(() => admin.close());

  const cluster = await startSimulatedCluster();
  failing.defer(() => cluster.stop());
  cluster.put({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'brokkr' } });
  const kubeconfigFile = join(folder, 'kubeconfig');
  writeFileSync(kubeconfigFile, cluster.kubeconfig, { mode: 0o600 });
  const { pak: token } = await admin.admin.createEnrollment({ name, labels: [name] });
  const agentEnvironment = {
    BROKKR_BROKER_URL: url,
    BROKKR_ENROLLMENT_TOKEN: token,
    BROKKR_PULL_INTERVAL: '2s',
    BROKKR_HEALTH_LISTEN: '127.0.0.1:0',
    KUBECONFIG: kubeconfigFile,
  };
  const runAgent = (root: string) => createProgram({ root, file: 'agent/main.ts', env: agentEnvironment });
  let agent: Program = runAgent(agentRoot);
  failing.defer(() => agent.stop());
  await agent.start();

  const owned = failing.move();
  return {
    agent: name,
    admin,
    cluster,
    async upgradeBroker(root) {
      await broker.stop();
      broker = runBroker(root, new URL(url).host);
      await broker.start();
    },
    async upgradeAgent(root) {
      await agent.stop();
      agent = runAgent(root);
      await agent.start();
    },
    close: () => owned.disposeAsync(),
  };
}
