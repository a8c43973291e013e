import { SearchField } from '../components/search-field.tsx';
import { agentStateLabels } from '../enum-labels.ts';
import { setQuery } from '../router.tsx';
import { type FleetFilter, type Grouping, groupings } from './members.ts';

/** Reads the filter from the query. */
export function filterFrom(query: URLSearchParams): FleetFilter {
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

/** Filters the list. The filter is kept in the URL, so that a view can be shared. */
export function Filters({ filter, labels }: { filter: FleetFilter; labels: readonly string[] }) {
  const states = Object.values(agentStateLabels)
    .map(({ text }) => text)
    .filter((word) => word !== 'unknown');
  return (
    <search className="filters">
      <SearchField label="Search agents" value={filter.search} onChange={(search) => setQuery({ search })} />
      <select aria-label="State" value={filter.state} onChange={(event) => setQuery({ state: event.target.value })}>
        <option value="">Any state</option>
        {states.map((state) => (
          <option key={state}>{state}</option>
        ))}
      </select>
      <select aria-label="Label" value={filter.label} onChange={(event) => setQuery({ label: event.target.value })}>
        <option value="">Any label</option>
        {labels.map((label) => (
          <option key={label}>{label}</option>
        ))}
      </select>
      <select
        aria-label="Group"
        value={filter.group}
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
          checked={filter.troubled}
          onChange={(event) => setQuery({ troubled: event.target.checked ? 'yes' : '' })}
        />
        Needs attention
      </label>
    </search>
  );
}
