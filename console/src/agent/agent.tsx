import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import type { Placement } from '../../../gen/brokkr/v1/placement_pb.ts';
import { Events } from '../components/events.tsx';
import { Facts, Head } from '../components/head.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { Labels, Status } from '../components/status.tsx';
import { Ago } from '../components/time.tsx';
import { useLoad } from '../load.ts';
import { allOf } from '../pages.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Placements } from '../stack/placements.tsx';
import { AgentDoings } from './actions.tsx';
import { onlineWord } from './online.ts';

/** One agent: what it is, what it serves, and what it said. */
export function AgentView({ name }: { name: string }) {
  const { admin, broker, sees, rules } = useSession();
  const { data, error, reload } = useLoad(`agent ${name}`, async (signal) => {
    const [agent, placements] = await Promise.all([findAgent(signal), findPlacements(signal)]);
    return { agent, placements };
  });
  /** A generator finds it among those that it may place stacks on. */
  async function findAgent(signal: AbortSignal): Promise<Agent | undefined> {
    if (sees) return (await admin.getAgent({ agent: name }, { signal })).agent;
    const agents = await allOf(async (page, options) => {
      const { agents: items, nextPageToken } = await broker.listAgents(page, options);
      return { items, nextPageToken };
    }, signal);
    return agents.find((each) => each.name === name);
  }
  function findPlacements(signal: AbortSignal): Promise<Placement[]> {
    return allOf(async (page, options) => {
      const { placements: items, nextPageToken } = await broker.listPlacements({ agent: name, ...page }, options);
      return { items, nextPageToken };
    }, signal);
  }
  const agent = data?.agent;
  return (
    <>
      <Head
        title={name}
        above={<Link href={sees ? '/fleet' : '/agents'}>{sees ? 'Fleet' : 'Agents'}</Link>}
        aside={agent && <Status word={onlineWord(agent)} />}
      >
        {rules && agent && <AgentDoings agent={agent} onDone={reload} />}
      </Head>
      <LoadProblem error={error} />
      {data && !agent && <Nothing>No agent of this name is registered with you.</Nothing>}
      {agent && (
        <>
          <AgentFacts agent={agent} />
          <section aria-labelledby="placements">
            <h2 id="placements">What it serves</h2>
            <Placements of="agent" placements={data.placements} onChange={reload} />
          </section>
          <section aria-labelledby="events">
            <h2 id="events">Events</h2>
            <Events of={{ agent: name }} shows="stack" />
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
        ['Labels', agent.labels.length === 0 ? 'none' : <Labels key="labels" labels={agent.labels} most={20} />],
        ...Object.entries(agent.annotations).map(([key, value]) => [`Annotation ${key}`, value] as const),
        ['Generators', agent.generators.join(', ') || 'none'],
        ['Heartbeat', <Ago key="heartbeat" time={agent.lastHeartbeatTime} none="never" />],
        ['Session', agent.connectTime ? <Ago key="session" time={agent.connectTime} /> : 'none'],
        ['Cluster', <code key="cluster">{cluster}</code>],
        ['Cluster answers', agent.online ? reach(agent.clusterReachable, agent.clusterLatency) : 'not known'],
        ['Kubernetes', agent.kubernetesVersion || 'not known'],
        ['Agent', agent.version || 'not known'],
        ['Created', <Ago key="created" time={agent.createTime} />],
      ]}
    />
  );
}

function reach(reachable: boolean, latency: Duration | undefined): string {
  if (!reachable) return 'no';
  return latency ? `in ${Math.round(durationMs(latency))} ms` : 'yes';
}
