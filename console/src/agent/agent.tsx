import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import type { Placement } from '../../../gen/brokkr/v1/placement_pb.ts';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Labels, Status } from '../components/status.tsx';
import { Facts, ViewHeader } from '../components/view-header.tsx';
import { Events } from '../event/events.tsx';
import { useLoad } from '../load.ts';
import { fetchAllPages } from '../pages.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Placements } from '../stack/placements.tsx';
import { AgentActions } from './actions.tsx';
import { agentStateLabel } from './online.ts';

/** One agent: its facts, its placements and its events. */
export function AgentView({ name }: { name: string }) {
  const { admin, broker, seesAll, isAdmin } = useSession();
  const { data, error, reload } = useLoad(`agent ${name}`, async (signal) => {
    const [agent, placements] = await Promise.all([findAgent(signal), findPlacements(signal)]);
    return { agent, placements };
  });
  /** A generator has no GetAgent: it finds the agent among those that it may place stacks on. */
  async function findAgent(signal: AbortSignal): Promise<Agent | undefined> {
    if (seesAll) return (await admin.getAgent({ agent: name }, { signal })).agent;
    const agents = await fetchAllPages(async (page, options) => {
      const { agents: items, nextPageToken } = await broker.listAgents(page, options);
      return { items, nextPageToken };
    }, signal);
    return agents.find((each) => each.name === name);
  }
  function findPlacements(signal: AbortSignal): Promise<Placement[]> {
    return fetchAllPages(async (page, options) => {
      const { placements: items, nextPageToken } = await broker.listPlacements({ agent: name, ...page }, options);
      return { items, nextPageToken };
    }, signal);
  }
  const agent = data?.agent;
  return (
    <>
      <ViewHeader
        title={name}
        above={<Link href={seesAll ? '/fleet' : '/agents'}>{seesAll ? 'Fleet' : 'Agents'}</Link>}
        aside={agent && <Status label={agentStateLabel(agent)} />}
      >
        {isAdmin && agent && <AgentActions agent={agent} onDone={reload} />}
      </ViewHeader>
      <ErrorMessage error={error} />
      {data && !agent && <EmptyState>No agent of this name is registered with your generator.</EmptyState>}
      {agent && (
        <>
          <AgentFacts agent={agent} />
          <section aria-labelledby="placements">
            <h2 id="placements">Placements</h2>
            <Placements owner="agent" placements={data.placements} onChange={reload} />
          </section>
          <section aria-labelledby="events">
            <h2 id="events">Events</h2>
            <Events filter={{ agent: name }} linkTo="stack" />
          </section>
        </>
      )}
    </>
  );
}

function AgentFacts({ agent }: { agent: Agent }) {
  const cluster = agent.clusterId === '' ? 'none yet' : agent.clusterId;
  return (
    <Facts
      facts={[
        ...(agent.description === '' ? [] : [['Description', agent.description] as const]),
        ['Labels', agent.labels.length === 0 ? 'none' : <Labels key="labels" labels={agent.labels} limit={20} />],
        ...Object.entries(agent.annotations).map(([key, value]) => [`Annotation ${key}`, value] as const),
        ['Generators', agent.generators.join(', ') || 'none'],
        ['Last heartbeat', <RelativeTime key="heartbeat" time={agent.lastHeartbeatTime} none="never" />],
        ['Session since', agent.connectTime ? <RelativeTime key="session" time={agent.connectTime} /> : 'none'],
        ['Cluster', <code key="cluster">{cluster}</code>],
        ['Cluster reachable', agent.online ? reachText(agent.clusterReachable, agent.clusterLatency) : 'unknown'],
        ['Kubernetes version', agent.kubernetesVersion || 'unknown'],
        ['Agent version', agent.version || 'unknown'],
        ['Created', <RelativeTime key="created" time={agent.createTime} />],
      ]}
    />
  );
}

function reachText(reachable: boolean, latency: Duration | undefined): string {
  if (!reachable) return 'no';
  return latency ? `yes, in ${Math.round(durationMs(latency))} ms` : 'yes';
}
