import type { Fleet } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { RelativeTime } from '../components/relative-time.tsx';
import { HealthTally, PhaseTally, Status } from '../components/status.tsx';
import { agentStateLabels, type EnumLabel } from '../enum-labels.ts';
import { setQuery, useLocation } from '../router.tsx';

/** Summarizes the fleet. Each state filters the list below. */
export function Counts({ fleet }: { fleet: Fleet | undefined }) {
  const { query } = useLocation();
  const chosen = query.get('state') ?? '';
  const { 1: online, 2: offline, 3: paused, 4: never, 5: draining } = agentStateLabels;
  const states: readonly (readonly [EnumLabel, number])[] = [
    [online, fleet?.online ?? 0],
    [offline, fleet?.offline ?? 0],
    [paused, fleet?.paused ?? 0],
    [never, fleet?.neverStarted ?? 0],
    [draining, fleet?.draining ?? 0],
  ];
  return (
    <section className="counts" aria-label="Fleet summary">
      <div className="states">
        {states.map(([word, number]) => (
          <button
            key={word.text}
            type="button"
            className="count"
            aria-pressed={chosen === word.text}
            onClick={() => setQuery({ state: chosen === word.text ? '' : word.text })}
          >
            <strong>{fleet ? number.toLocaleString('en') : '–'}</strong>
            <Status label={number === 0 ? { ...word, tone: 'idle' } : word} />
          </button>
        ))}
      </div>
      <dl>
        <div>
          <dt>Placements</dt>
          <dd>
            <PhaseTally counts={fleet?.placements} />
          </dd>
        </div>
        <div>
          <dt>Health</dt>
          <dd>
            <HealthTally counts={fleet?.health} />
          </dd>
        </div>
        {fleet && fleet.clusterUnreachable > 0 && (
          <div>
            <dt>Cluster unreachable</dt>
            <dd>
              <Status label={{ text: `${fleet.clusterUnreachable} online`, tone: 'bad', icon: 'warning' }} />
            </dd>
          </div>
        )}
        {fleet?.oldestPendingTime && (
          <div>
            <dt>Oldest pending change</dt>
            <dd>
              since <RelativeTime time={fleet.oldestPendingTime} />
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}
