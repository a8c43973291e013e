import { useDeferredValue, useMemo, useRef, useState } from 'react';
import type { WatchFleetResponse } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { NewAgent } from '../agent/new-agent.tsx';
import { Icon } from '../components/icon.tsx';
import { AgentLink } from '../components/links.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { ConnectionStatus, Labels, PhaseTally, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { agentStateLabels, countText, healthLabels, labelOf } from '../enum-labels.ts';
import { useStream } from '../load.ts';
import { useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Counts } from './counts.tsx';
import { Filters, filterFrom } from './filters.tsx';
import { emptyMembers, labelsOf, type Members, type Row, rowsOf, withMessages } from './members.ts';
import { Problems } from './problems.tsx';

/** Lists every agent, live. */
export function Fleet() {
  const { isAdmin } = useSession();
  const { query } = useLocation();
  const { members, connection, error } = useFleet();
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [adding, setAdding] = useState(false);
  const filter = filterFrom(query);
  // Deferred, so that typing stays responsive while thousands of rows are filtered.
  const deferredFilter = useDeferredValue(JSON.stringify(filter));
  const rows = useMemo(
    () => rowsOf(members, JSON.parse(deferredFilter) as typeof filter, closed),
    [members, deferredFilter, closed],
  );
  const labels = useMemo(() => labelsOf(members), [members]);
  const shown = useMemo(
    () => new Set(rows.flatMap((row) => (row.kind === 'member' ? row.member.agent?.id : []))).size,
    [rows],
  );
  const toggle = (name: string) =>
    setClosed((before) => {
      const after = new Set(before);
      if (!after.delete(name)) after.add(name);
      return after;
    });
  return (
    <>
      <ViewHeader title="Fleet" aside={<ConnectionStatus connection={connection} />}>
        {isAdmin && (
          <button type="button" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New agent
          </button>
        )}
      </ViewHeader>
      <ErrorMessage error={error} />
      <Counts fleet={members.fleet} />
      <Problems />
      <Filters filter={filter} labels={labels} />
      <p className="sum" role="status">
        {connection === 'connecting' && members.byId.size === 0
          ? 'Loading…'
          : `${countText(shown, 'agent')}${isNarrowed(filter) ? ` of ${members.byId.size.toLocaleString('en')}` : ''}`}
      </p>
      {rows.length === 0 && connection === 'live' ? (
        <EmptyState>{members.byId.size === 0 ? 'There are no agents yet.' : 'No agent matches.'}</EmptyState>
      ) : (
        <Table
          label="Agents"
          columns={columns}
          rows={rows}
          keyOf={(row) => (row.kind === 'group' ? `group ${row.name}` : `${row.group} ${row.member.agent?.id}`)}
          heading={(row) =>
            row.kind === 'group' ? (
              <Group row={row} open={!closed.has(row.name)} onToggle={() => toggle(row.name)} />
            ) : undefined
          }
        />
      )}
      {adding && <NewAgent onClose={() => setAdding(false)} />}
    </>
  );
}

function isNarrowed({ search, state, label, troubled }: ReturnType<typeof filterFrom>): boolean {
  return search !== '' || state !== '' || label !== '' || troubled;
}

function Group({ row, open, onToggle }: { row: Row & { kind: 'group' }; open: boolean; onToggle: () => void }) {
  return (
    <button type="button" className="group" aria-expanded={open} onClick={onToggle}>
      <Icon name="chevron" />
      {row.name}
      <span className="faint">{row.count.toLocaleString('en')}</span>
    </button>
  );
}

/** Watches the fleet. Messages that arrive within one frame are rendered together. */
function useFleet() {
  const { admin } = useSession();
  const [members, setMembers] = useState<Members>(emptyMembers);
  const pending = useRef<{ message: WatchFleetResponse; first: boolean }[]>([]);
  const watched = useStream(
    'fleet',
    (signal) => admin.watchFleet({}, { signal }),
    (message, first) => {
      if (pending.current.push({ message, first }) > 1) return;
      requestAnimationFrame(() => {
        const messages = pending.current;
        pending.current = [];
        setMembers((before) => withMessages(before, messages));
      });
    },
  );
  return { members, ...watched };
}

const agentOf = (row: Row) => (row.kind === 'member' ? row.member.agent : undefined);

const columns: readonly Column<Row>[] = [
  {
    head: 'Name',
    width: '3fr',
    cell: (row) => {
      const name = agentOf(row)?.name ?? '';
      return <AgentLink name={name} />;
    },
  },
  {
    head: 'State',
    width: '8.5rem',
    cell: (row) => row.kind === 'member' && <Status label={labelOf(agentStateLabels, row.member.state)} />,
  },
  {
    head: 'Health',
    width: '8.5rem',
    cell: (row) => row.kind === 'member' && <Status label={labelOf(healthLabels, row.member.health)} />,
  },
  { head: 'Placements', width: '3fr', cell: (row) => <PhaseTally counts={agentOf(row)?.placements} /> },
  { head: 'Labels', width: '4fr', wide: true, cell: (row) => <Labels labels={agentOf(row)?.labels ?? []} /> },
  { head: 'Kubernetes', width: '6.5rem', wide: true, cell: (row) => agentOf(row)?.kubernetesVersion },
  {
    head: 'Last seen',
    width: '8rem',
    wide: true,
    // The stream does not send every heartbeat, only whether the agent is online.
    cell: (row) =>
      agentOf(row)?.online ? 'now' : <RelativeTime time={agentOf(row)?.lastHeartbeatTime} none="never" />,
  },
];
