import { useState } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import type { Event } from '../../../gen/brokkr/v1/event_pb.ts';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { actionLabels, countText, labelOf, outcomeLabels } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { Link, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';

interface EventsProps {
  readonly filter: { readonly stack?: string; readonly agent?: string };
  /** The end of the placement to show for each event. */
  readonly linkTo: 'stack' | 'agent';
}

const step = 50;

/** Lists what agents reported, newest first. */
export function Events({ filter, linkTo }: EventsProps) {
  const { broker } = useSession();
  const [limit, setLimit] = useState(step);
  const { data, error } = useLoad(`events ${filter.stack} ${filter.agent} ${limit}`, (signal) =>
    broker.listEvents({ ...filter, pageSize: Math.min(limit, 500) }, { signal }),
  );
  return (
    <>
      <ErrorMessage error={error} />
      {data?.events.length === 0 && <EmptyState>No events yet.</EmptyState>}
      <EventList events={data?.events ?? []} linkTo={linkTo} />
      {data?.nextPageToken && limit < 500 && (
        <button type="button" onClick={() => setLimit(limit * 2)}>
          Show more
        </button>
      )}
    </>
  );
}

/** Lists events, each with the objects that it concerns. */
export function EventList({ events, linkTo }: { events: readonly Event[]; linkTo: EventsProps['linkTo'] }) {
  return (
    <ol className="events">
      {events.map((event) => (
        <li key={`${event.agentId} ${event.incarnation} ${event.sequence}`}>
          <div className="event">
            <Status label={labelOf(outcomeLabels, event.outcome)} />
            <span>
              {event.revision > 0 && `revision ${event.revision} `}
              {linkTo === 'agent' ? 'on ' : 'of '}
              {linkTo === 'agent' ? (
                <Link href={pathOf('agents', event.agent)}>{event.agent}</Link>
              ) : event.stack === '' ? (
                'a deleted stack'
              ) : (
                <Link href={stackPath(event.stack)}>{event.stack}</Link>
              )}
            </span>
            <span className="faint">
              <RelativeTime time={event.receiveTime} />
            </span>
          </div>
          {event.message !== '' && <p className="message">{event.message}</p>}
          {event.objects.length > 0 && (
            <details>
              <summary>{countText(event.objects.length, 'object')}</summary>
              <ul className="changes">
                {event.objects.map((change) => (
                  <li key={objectText(change.object)}>
                    <Status label={labelOf(actionLabels, change.action)} /> <code>{objectText(change.object)}</code>
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
