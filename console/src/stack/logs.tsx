import { useState } from 'react';
import { TelemetryKind } from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { SearchField } from '../components/search-field.tsx';
import { LinkStatus } from '../components/status.tsx';
import { count } from '../enum-labels.ts';
import { useWatch } from '../load.ts';
import { setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { type Entry, entriesOf, mostEntries, resumeTime, withNews } from './entries.ts';
import { Scroll } from './scroll.tsx';

const kinds: Readonly<Record<string, readonly TelemetryKind[]>> = {
  lines: [TelemetryKind.POD_LOGS],
  events: [TelemetryKind.KUBERNETES_EVENTS],
};

interface Wish {
  readonly agent: string;
  readonly show: string;
  readonly source: string;
  readonly search: string;
}

/** What a stack's pods write and Kubernetes tells of it, on all clusters, as it comes. */
export function Logs({ name, agents }: { name: string; agents: readonly string[] }) {
  const { query } = usePlace();
  const read = (parameter: string) => query.get(parameter) ?? '';
  const wish = { agent: read('agent'), show: read('show'), source: read('source'), search: read('search') };
  const { entries, link, error } = useTail(name, wish);
  // What is read stays as it is while more comes.
  const [held, setHeld] = useState<readonly Entry[]>();
  const seen = held ?? entries;
  const shown = matching(seen, wish);
  const waiting = held ? matching(after(held, entries), wish).length : 0;
  const choose = (change: Readonly<Record<string, string>>) => {
    setHeld(undefined);
    setQuery(change);
  };
  return (
    <>
      <LoadProblem error={error} />
      <search className="filters">
        <SearchField label="Search lines" value={wish.search} onChange={(search) => setQuery({ search })} />
        <select aria-label="Show" value={wish.show} onChange={({ target }) => choose({ show: target.value })}>
          <option value="">Lines and events</option>
          <option value="lines">Lines</option>
          <option value="events">Events</option>
        </select>
        <Choice label="Agent" of={agents} value={wish.agent} onChoose={(agent) => choose({ agent })} />
        <Choice
          label="Source"
          of={seen.map(({ source }) => source)}
          value={wish.source}
          onChoose={(source) => setQuery({ source })}
        />
        <button type="button" onClick={() => setHeld(held ? undefined : entries)}>
          {held ? 'Follow' : 'Pause'}
        </button>
      </search>
      <p className="sum tail">
        {link !== 'live' && <LinkStatus link={link} />}
        <span>{sumText(shown.length, seen.length)}</span>
        {held && <span>paused{waiting > 0 && `, ${waiting.toLocaleString('en')} more since`}</span>}
      </p>
      {shown.length > 0 ? (
        <Scroll
          entries={shown}
          follows={!held}
          onFollow={(follows) => setHeld((before) => (follows ? undefined : (before ?? entries)))}
        />
      ) : (
        <Nothing>{seen.length > 0 ? 'None of it is like that.' : whyNothing(agents, link === 'live', wish)}</Nothing>
      )}
    </>
  );
}

/** The last of it, over breaks; the broker looks for the agent and the kind, so that others do not push them out. */
function useTail(stack: string, { agent, show }: Wish) {
  const { broker } = useSession();
  const key = `tail ${stack} ${agent} ${show}`;
  const [kept, setKept] = useState<{ key: string; entries: readonly Entry[] }>({ key, entries: [] });
  const entries = kept.key === key ? kept.entries : none;
  const watched = useWatch(
    key,
    (signal) => {
      const request = { stack, agent, kinds: [...(kinds[show] ?? [])], startTime: resumeTime(entries) };
      return broker.tailStack({ ...request, historySize: mostEntries }, { signal });
    },
    ({ records }) => {
      const news = records.flatMap(entriesOf);
      setKept((before) => ({ key, entries: withNews(before.key === key ? before.entries : none, news) }));
    },
  );
  return { ...watched, entries };
}

const none: readonly Entry[] = [];

function matching(entries: readonly Entry[], { source, search }: Wish): readonly Entry[] {
  if (source === '' && search === '') return entries;
  const wanted = search.toLowerCase();
  const has = (text: string) => text.toLowerCase().includes(wanted);
  // What is missing of a source that is not known may be of this one.
  return entries.filter(
    (entry) =>
      (source === '' || entry.source === source || (entry.kind === 'gap' && entry.source === '')) &&
      (has(entry.text) || has(entry.source) || has(entry.agent)),
  );
}

function after(held: readonly Entry[], entries: readonly Entry[]): readonly Entry[] {
  const last = held.at(-1)?.key;
  return entries.slice(entries.findLastIndex(({ key }) => key === last) + 1);
}

interface ChoiceProps {
  readonly label: string;
  readonly of: readonly string[];
  readonly value: string;
  readonly onChoose: (value: string) => void;
}

function Choice({ label, of, value, onChoose }: ChoiceProps) {
  const names = [...new Set([...of, value])].filter((name) => name !== '');
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

function sumText(shown: number, all: number): string {
  const most = all < mostEntries ? '' : ', the last ones';
  return (
    (shown === all
      ? count(all, 'entry', 'entries')
      : `${shown.toLocaleString('en')} of ${count(all, 'entry', 'entries')}`) + most
  );
}

function whyNothing(agents: readonly string[], isLive: boolean, { show }: Wish) {
  if (!isLive) return 'Loading…';
  if (agents.length === 0) return 'No agent serves this stack, so nothing is told of it.';
  return (
    <>
      Nothing was told yet, or it is no longer kept.{' '}
      {show !== 'events' && (
        <>
          Lines come from pods with the annotation <code>brokkr.io/stream-logs: "true"</code>.{' '}
        </>
      )}
      Whoever runs a cluster may have switched it off there: an agent with <code>BROKKR_TELEMETRY=off</code> tells
      nothing, with <code>events</code> no lines.
    </>
  );
}
