import { useState } from 'react';
import { TelemetryKind } from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { SearchField } from '../components/search-field.tsx';
import { ConnectionStatus } from '../components/status.tsx';
import { countText } from '../enum-labels.ts';
import { useStream } from '../load.ts';
import { setQuery, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { type LogEntry, maxEntries, mergeEntries, resumeTime, toEntries } from './log-entries.ts';
import { LogView } from './log-view.tsx';

const kinds: Readonly<Record<string, readonly TelemetryKind[]>> = {
  lines: [TelemetryKind.POD_LOGS],
  events: [TelemetryKind.KUBERNETES_EVENTS],
};

interface LogFilter {
  readonly agent: string;
  readonly show: string;
  readonly source: string;
  readonly search: string;
}

/** Follows the pod logs and Kubernetes events of a stack on all clusters. */
export function Logs({ name, agents }: { name: string; agents: readonly string[] }) {
  const { query } = useLocation();
  const read = (parameter: string) => query.get(parameter) ?? '';
  const filter = { agent: read('agent'), show: read('show'), source: read('source'), search: read('search') };
  const { entries, connection, error } = useTail(name, filter);
  // While paused, the view keeps the entries from the moment of the pause.
  const [pausedAt, setPausedAt] = useState<readonly LogEntry[]>();
  const visible = pausedAt ?? entries;
  const shown = matching(visible, filter);
  const newCount = pausedAt ? matching(entriesAfter(pausedAt, entries), filter).length : 0;
  const choose = (change: Readonly<Record<string, string>>) => {
    setPausedAt(undefined);
    setQuery(change);
  };
  return (
    <>
      <ErrorMessage error={error} />
      <search className="filters">
        <SearchField label="Search lines" value={filter.search} onChange={(search) => setQuery({ search })} />
        <select aria-label="Show" value={filter.show} onChange={({ target }) => choose({ show: target.value })}>
          <option value="">Lines and events</option>
          <option value="lines">Lines</option>
          <option value="events">Events</option>
        </select>
        <Choice label="Agent" options={agents} value={filter.agent} onChoose={(agent) => choose({ agent })} />
        <Choice
          label="Source"
          options={visible.map(({ source }) => source)}
          value={filter.source}
          onChoose={(source) => setQuery({ source })}
        />
        <button type="button" onClick={() => setPausedAt(pausedAt ? undefined : entries)}>
          {pausedAt ? 'Follow' : 'Pause'}
        </button>
      </search>
      <p className="sum tail">
        {connection !== 'live' && <ConnectionStatus connection={connection} />}
        <span>{summaryText(shown.length, visible.length)}</span>
        {pausedAt && <span>paused{newCount > 0 && `, ${newCount.toLocaleString('en')} more since`}</span>}
      </p>
      {shown.length > 0 ? (
        <LogView
          entries={shown}
          follows={!pausedAt}
          onFollow={(follows) => setPausedAt((before) => (follows ? undefined : (before ?? entries)))}
        />
      ) : (
        <EmptyState>
          {visible.length > 0 ? 'No entry matches.' : emptyReason(agents, connection === 'live', filter)}
        </EmptyState>
      )}
    </>
  );
}

/**
 * Follows the newest entries across disconnects. The broker filters by agent and kind, so that entries of others do not push them
 * out of the maximum.
 */
function useTail(stack: string, { agent, show }: LogFilter) {
  const { broker } = useSession();
  const key = `tail ${stack} ${agent} ${show}`;
  const [tail, setTail] = useState<{ key: string; entries: readonly LogEntry[] }>({ key, entries: [] });
  const entries = tail.key === key ? tail.entries : noEntries;
  const watched = useStream(
    key,
    (signal) => {
      const request = { stack, agent, kinds: [...(kinds[show] ?? [])], startTime: resumeTime(entries) };
      return broker.tailStack({ ...request, historySize: maxEntries }, { signal });
    },
    ({ records }) => {
      const incoming = records.flatMap(toEntries);
      setTail((before) => ({ key, entries: mergeEntries(before.key === key ? before.entries : noEntries, incoming) }));
    },
  );
  return { ...watched, entries };
}

const noEntries: readonly LogEntry[] = [];

function matching(entries: readonly LogEntry[], { source, search }: LogFilter): readonly LogEntry[] {
  if (source === '' && search === '') return entries;
  const wanted = search.toLowerCase();
  const has = (text: string) => text.toLowerCase().includes(wanted);
  // A gap without a source may concern the selected source.
  return entries.filter(
    (entry) =>
      (source === '' || entry.source === source || (entry.kind === 'gap' && entry.source === '')) &&
      (has(entry.text) || has(entry.source) || has(entry.agent)),
  );
}

function entriesAfter(pausedAt: readonly LogEntry[], entries: readonly LogEntry[]): readonly LogEntry[] {
  const last = pausedAt.at(-1)?.key;
  return entries.slice(entries.findLastIndex(({ key }) => key === last) + 1);
}

interface ChoiceProps {
  readonly label: string;
  readonly options: readonly string[];
  readonly value: string;
  readonly onChoose: (value: string) => void;
}

function Choice({ label, options, value, onChoose }: ChoiceProps) {
  const names = [...new Set([...options, value])].filter((name) => name !== '');
  names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return (
    <select aria-label={label} value={value} onChange={(event) => onChoose(event.target.value)}>
      <option value="">Any {label.toLowerCase()}</option>
      {names.map((name) => (
        <option key={name}>{name}</option>
      ))}
    </select>
  );
}

function summaryText(shown: number, all: number): string {
  const most = all < maxEntries ? '' : ', newest only';
  return (
    (shown === all
      ? countText(all, 'entry', 'entries')
      : `${shown.toLocaleString('en')} of ${countText(all, 'entry', 'entries')}`) + most
  );
}

function emptyReason(agents: readonly string[], isLive: boolean, { show }: LogFilter) {
  if (!isLive) return 'Loading…';
  if (agents.length === 0) return 'No agent serves this stack, so there are no logs or events.';
  return (
    <>
      There are no entries yet, or they are no longer kept.{' '}
      {show !== 'events' && (
        <>
          Lines come from pods with the annotation <code>brokkr.io/stream-logs: "true"</code>.{' '}
        </>
      )}
      The operator of a cluster can turn this off: an agent with <code>BROKKR_TELEMETRY=off</code> sends nothing, and
      with <code>events</code> no lines.
    </>
  );
}
