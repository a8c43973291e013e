import { useDeferredValue, useMemo, useRef, useState } from 'react';
import type { WatchFleetResponse } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { NewAgent } from '../agent/new-agent.tsx';
import { Head } from '../components/head.tsx';
import { Icon } from '../components/icon.tsx';
import { AgentLink } from '../components/links.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { Labels, LinkStatus, Phases, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { agentStates, count, healths, wordOf } from '../enum-labels.ts';
import { useWatch } from '../load.ts';
import { usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Counts } from './counts.tsx';
import { Filters, wishOf } from './filters.tsx';
import { labelsOf, type Members, noMembers, type Row, rowsOf, withMessages } from './members.ts';

/** Every agent, as it is now. */
export function Fleet() {
  const { rules } = useSession();
  const { query } = usePlace();
  const { members, link, error } = useFleet();
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [adding, setAdding] = useState(false);
  const wish = wishOf(query);
  // Typing goes on while thousands of rows are chosen anew.
  const calm = useDeferredValue(JSON.stringify(wish));
  const rows = useMemo(() => rowsOf(members, JSON.parse(calm) as typeof wish, closed), [members, calm, closed]);
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
      <Head title="Fleet" aside={<LinkStatus link={link} />}>
        {rules && (
          <button type="button" onClick={() => setAdding(true)}>
            <Icon name="plus" />
            New agent
          </button>
        )}
      </Head>
      <LoadProblem error={error} />
      <Counts fleet={members.fleet} />
      <Filters wish={wish} labels={labels} />
      <p className="sum" role="status">
        {link === 'connecting' && members.byId.size === 0
          ? 'Loading…'
          : `${count(shown, 'agent')}${isNarrowed(wish) ? ` of ${members.byId.size.toLocaleString('en')}` : ''}`}
      </p>
      {rows.length === 0 && link === 'live' ? (
        <Nothing>{members.byId.size === 0 ? 'There is no agent yet.' : 'No agent is like that.'}</Nothing>
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

function isNarrowed({ search, state, label, troubled }: ReturnType<typeof wishOf>): boolean {
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

/** The stream's state; what comes together is drawn together. */
function useFleet() {
  const { admin } = useSession();
  const [members, setMembers] = useState<Members>(noMembers);
  const waiting = useRef<{ message: WatchFleetResponse; first: boolean }[]>([]);
  const watched = useWatch(
    'fleet',
    (signal) => admin.watchFleet({}, { signal }),
    (message, first) => {
      if (waiting.current.push({ message, first }) > 1) return;
      requestAnimationFrame(() => {
        const messages = waiting.current;
        waiting.current = [];
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
    cell: (row) => row.kind === 'member' && <Status word={wordOf(agentStates, row.member.state)} />,
  },
  {
    head: 'Health',
    width: '8.5rem',
    cell: (row) => row.kind === 'member' && <Status word={wordOf(healths, row.member.health)} />,
  },
  { head: 'Placements', width: '3fr', cell: (row) => <Phases counts={agentOf(row)?.placements} /> },
  { head: 'Labels', width: '4fr', wide: true, cell: (row) => <Labels labels={agentOf(row)?.labels ?? []} /> },
  { head: 'Kubernetes', width: '6.5rem', wide: true, cell: (row) => agentOf(row)?.kubernetesVersion },
  {
    head: 'Last seen',
    width: '8rem',
    wide: true,
    // The stream does not tell every heartbeat, only that there are some.
    cell: (row) => (agentOf(row)?.online ? 'now' : <Ago time={agentOf(row)?.lastHeartbeatTime} none="never" />),
  },
];
