import { useState } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import type { Event } from '../../../gen/brokkr/v1/event_pb.ts';
import { actions, count, outcomes, wordOf } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { Link, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { LoadProblem, Nothing } from './problem.tsx';
import { Status } from './status.tsx';
import { Ago } from './time.tsx';

interface EventsProps {
  readonly of: { readonly stack?: string; readonly agent?: string };
  /** What is said of each: the other end of it. */
  readonly shows: 'stack' | 'agent';
}

const step = 50;

/** What agents reported, newest first. */
export function Events({ of, shows }: EventsProps) {
  const { broker } = useSession();
  const [most, setMost] = useState(step);
  const { data, error } = useLoad(`events ${of.stack} ${of.agent} ${most}`, (signal) =>
    broker.listEvents({ ...of, pageSize: Math.min(most, 500) }, { signal }),
  );
  return (
    <>
      <LoadProblem error={error} />
      {data?.events.length === 0 && <Nothing>Nothing was reported yet.</Nothing>}
      <EventList events={data?.events ?? []} shows={shows} />
      {data?.nextPageToken && most < 500 && (
        <button type="button" onClick={() => setMost(most * 2)}>
          Show more
        </button>
      )}
    </>
  );
}

/** Events, each with the objects that it is about. */
export function EventList({ events, shows }: { events: readonly Event[]; shows: EventsProps['shows'] }) {
  return (
    <ol className="events">
      {events.map((event) => (
        <li key={`${event.agentId} ${event.incarnation} ${event.sequence}`}>
          <div className="event">
            <Status word={wordOf(outcomes, event.outcome)} />
            <span>
              {event.revision > 0 && `revision ${event.revision} `}
              {shows === 'agent' ? 'on ' : 'of '}
              {shows === 'agent' ? (
                <Link href={pathOf('agents', event.agent)}>{event.agent}</Link>
              ) : event.stack === '' ? (
                'a stack that is gone'
              ) : (
                <Link href={stackPath(event.stack)}>{event.stack}</Link>
              )}
            </span>
            <span className="faint">
              <Ago time={event.receiveTime} />
            </span>
          </div>
          {event.message !== '' && <p className="message">{event.message}</p>}
          {event.objects.length > 0 && (
            <details>
              <summary>{count(event.objects.length, 'object')}</summary>
              <ul className="changes">
                {event.objects.map((change) => (
                  <li key={objectText(change.object)}>
                    <Status word={wordOf(actions, change.action)} /> <code>{objectText(change.object)}</code>
                    {change.message !== '' && <span className="message">{change.message}</span>}
                  </li>
                ))}
              </ul>
            </details>
          )}
        </li>
      ))}
    </ol>
  );
}
