import { SearchField } from '../components/search-field.tsx';
import { agentStates } from '../enum-labels.ts';
import { setQuery } from '../router.tsx';
import { type Grouping, groupings, type Wish } from './members.ts';

/** What the query asks for. */
export function wishOf(query: URLSearchParams): Wish {
  const group = query.get('group') ?? '';
  return {
    search: query.get('search') ?? '',
    state: query.get('state') ?? '',
    label: query.get('label') ?? '',
    troubled: query.has('troubled'),
    group: isGrouping(group) ? group : 'none',
  };
}

function isGrouping(text: string): text is Grouping {
  return (groupings as readonly string[]).includes(text);
}

const groupNames: Readonly<Record<Grouping, string>> = {
  none: 'No groups',
  state: 'By state',
  health: 'By health',
  label: 'By label',
  cluster: 'By cluster',
  version: 'By Kubernetes version',
};

/** Narrows the list; all of it is in the address, so that it can be sent to somebody. */
export function Filters({ wish, labels }: { wish: Wish; labels: readonly string[] }) {
  const states = Object.values(agentStates)
    .map(({ word }) => word)
    .filter((word) => word !== 'unknown');
  return (
    <search className="filters">
      <SearchField label="Search agents" value={wish.search} onChange={(search) => setQuery({ search })} />
      <select aria-label="State" value={wish.state} onChange={(event) => setQuery({ state: event.target.value })}>
        <option value="">Any state</option>
        {states.map((state) => (
          <option key={state}>{state}</option>
        ))}
      </select>
      <select aria-label="Label" value={wish.label} onChange={(event) => setQuery({ label: event.target.value })}>
        <option value="">Any label</option>
        {labels.map((label) => (
          <option key={label}>{label}</option>
        ))}
      </select>
      <select
        aria-label="Group"
        value={wish.group}
        onChange={(event) => setQuery({ group: event.target.value === 'none' ? '' : event.target.value })}
      >
        {groupings.map((group) => (
          <option key={group} value={group}>
            {groupNames[group]}
          </option>
        ))}
      </select>
      <label className="check">
        <input
          type="checkbox"
          checked={wish.troubled}
          onChange={(event) => setQuery({ troubled: event.target.checked ? 'yes' : '' })}
        />
        Needs a look
      </label>
    </search>
  );
}
