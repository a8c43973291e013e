import type { Test } from 'uvu';
import { type ClusterAdmin, openRealCluster, openSimulatedCluster, type TestCluster } from './test-agent.ts';
import { type Agents, agentsOn } from './test-agents.ts';

/** The environment of one suite: a cluster, and agents that are closed after each test. */
export interface ClusterContext {
  readonly testCluster: TestCluster;
  readonly admin: ClusterAdmin;
  readonly agents: Agents;
  readonly start: Agents['start'];
}

/** Declares the same tests on a simulated cluster and on a real API server, unless `real` is false: pass `needs('go') && real`. */
export async function onBothClusters(
  simulated: Test,
  real: Test | false,
  describe: (test: Test, context: ClusterContext) => void,
): Promise<void> {
  const describeOn = (test: Test, testCluster: TestCluster) => {
    const agents = agentsOn(test, testCluster);
    describe(test, { testCluster, admin: testCluster.admin, agents, start: agents.start });
  };
  describeOn(simulated, await openSimulatedCluster());
  if (real) describeOn(real, await openRealCluster());
}
