import type { Fleet } from '../../../gen/brokkr/v1/fleet_pb.ts';
import { Healths, Phases, Status } from '../components/status.tsx';
import { Ago } from '../components/time.tsx';
import { agentStates, type Word } from '../enum-labels.ts';
import { setQuery, usePlace } from '../router.tsx';

/** The fleet in one look. Each state is a filter for the list below. */
export function Counts({ fleet }: { fleet: Fleet | undefined }) {
  const { query } = usePlace();
  const chosen = query.get('state') ?? '';
  const { 1: online, 2: offline, 3: paused, 4: never, 5: draining } = agentStates;
  const states: readonly (readonly [Word, number])[] = [
    [online, fleet?.online ?? 0],
    [offline, fleet?.offline ?? 0],
    [paused, fleet?.paused ?? 0],
    [never, fleet?.neverStarted ?? 0],
    [draining, fleet?.draining ?? 0],
  ];
  return (
    <section className="counts" aria-label="The fleet in one look">
      <div className="states">
        {states.map(([word, number]) => (
          <button
            key={word.word}
            type="button"
            className="count"
            aria-pressed={chosen === word.word}
            onClick={() => setQuery({ state: chosen === word.word ? '' : word.word })}
          >
            <strong>{fleet ? number.toLocaleString('en') : '–'}</strong>
            <Status word={number === 0 ? { ...word, tone: 'idle' } : word} />
          </button>
        ))}
      </div>
      <dl>
        <div>
          <dt>Placements</dt>
          <dd>
            <Phases counts={fleet?.placements} />
          </dd>
        </div>
        <div>
          <dt>Health</dt>
          <dd>
            <Healths counts={fleet?.health} />
          </dd>
        </div>
        {fleet && fleet.clusterUnreachable > 0 && (
          <div>
            <dt>Cluster does not answer</dt>
            <dd>
              <Status word={{ word: `${fleet.clusterUnreachable} online`, tone: 'bad', icon: 'warning' }} />
            </dd>
          </div>
        )}
        {fleet?.oldestPendingTime && (
          <div>
            <dt>Longest not as desired</dt>
            <dd>
              since <Ago time={fleet.oldestPendingTime} />
            </dd>
          </div>
        )}
      </dl>
    </section>
  );
}
