import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { Head } from '../components/head.tsx';
import { AgentLink } from '../components/links.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { SearchField } from '../components/search-field.tsx';
import { Labels, Phases, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { useAll } from '../pages.ts';
import { setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { onlineWord } from './online.ts';

/** The agents that a generator may place its stacks on. */
export function AgentsView() {
  const { broker } = useSession();
  const { query } = usePlace();
  const search = query.get('search') ?? '';
  const { data: agents, error } = useAll('agents', async (page, options) => {
    const { agents: items, nextPageToken } = await broker.listAgents(page, options);
    return { items, nextPageToken };
  });
  const shown = agents?.filter(({ name }) => name.includes(search.toLowerCase())) ?? [];
  return (
    <>
      <Head title="Agents" />
      <LoadProblem error={error} />
      <search className="filters">
        <SearchField label="Search agents" value={search} onChange={(text) => setQuery({ search: text })} />
      </search>
      {agents && shown.length === 0 ? (
        <Nothing>{agents.length === 0 ? 'No agent is registered with you.' : 'No agent is like that.'}</Nothing>
      ) : (
        <Table label="Agents" columns={columns} rows={shown} keyOf={({ id }) => id} />
      )}
    </>
  );
}

const columns: readonly Column<Agent>[] = [
  {
    head: 'Name',
    width: '2fr',
    cell: ({ name }) => <AgentLink name={name} />,
  },
  { head: 'State', width: '8.5rem', cell: (agent) => <Status word={onlineWord(agent)} /> },
  { head: 'Placements', width: '2fr', cell: ({ placements }) => <Phases counts={placements} /> },
  { head: 'Labels', width: '2fr', wide: true, cell: ({ labels }) => <Labels labels={labels} /> },
  {
    head: 'Heartbeat',
    width: '8rem',
    wide: true,
    cell: ({ lastHeartbeatTime }) => <Ago time={lastHeartbeatTime} none="never" />,
  },
];
