import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { AgentLink } from '../components/links.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { SearchField } from '../components/search-field.tsx';
import { Labels, PhaseTally, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { useAllPages } from '../pages.ts';
import { setQuery, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { agentStateLabel } from './online.ts';

/** Lists the agents that a generator may place its stacks on. */
export function AgentsView() {
  const { broker } = useSession();
  const { query } = useLocation();
  const search = query.get('search') ?? '';
  const { data: agents, error } = useAllPages('agents', async (page, options) => {
    const { agents: items, nextPageToken } = await broker.listAgents(page, options);
    return { items, nextPageToken };
  });
  const shown = agents?.filter(({ name }) => name.includes(search.toLowerCase())) ?? [];
  return (
    <>
      <ViewHeader title="Agents" />
      <ErrorMessage error={error} />
      <search className="filters">
        <SearchField label="Search agents" value={search} onChange={(text) => setQuery({ search: text })} />
      </search>
      {agents && shown.length === 0 ? (
        <EmptyState>
          {agents.length === 0 ? 'No agent is registered with your generator.' : 'No agent matches.'}
        </EmptyState>
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
  { head: 'State', width: '8.5rem', cell: (agent) => <Status label={agentStateLabel(agent)} /> },
  { head: 'Placements', width: '2fr', cell: ({ placements }) => <PhaseTally counts={placements} /> },
  { head: 'Labels', width: '2fr', wide: true, cell: ({ labels }) => <Labels labels={labels} /> },
  {
    head: 'Heartbeat',
    width: '8rem',
    wide: true,
    cell: ({ lastHeartbeatTime }) => <RelativeTime time={lastHeartbeatTime} none="never" />,
  },
];
