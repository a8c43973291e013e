import { useState } from 'react';
import { type Placement, PlacementPhase } from '../../../gen/brokkr/v1/placement_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { lazyView } from '../components/lazy-view.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { ConnectionStatus, HealthTally, PhaseTally } from '../components/status.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { Events } from '../event/events.tsx';
import { useStream } from '../load.ts';
import { Link, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { StackActions } from './actions.tsx';
import { Objects } from './objects.tsx';
import { Placements } from './placements.tsx';
import { Settings } from './settings.tsx';

// These views bring the YAML library and are loaded only when they are shown.
const Revisions = lazyView(async () => (await import('./revisions.tsx')).Revisions);
const Logs = lazyView(async () => (await import('./logs.tsx')).Logs);

const tabs = ['placements', 'objects', 'revisions', 'events', 'logs', 'settings'] as const;
type Tab = (typeof tabs)[number];

interface StackSnapshot {
  readonly stack: Stack | undefined;
  readonly placements: ReadonlyMap<string, Placement>;
}

/** One stack, live: its placements, objects, revisions, events, logs and settings. */
export function StackView({ name, tab }: { name: string; tab: string | undefined }) {
  const { broker, canWrite } = useSession();
  const [{ stack, placements }, setSnapshot] = useState<StackSnapshot>({ stack: undefined, placements: new Map() });
  const { connection, error } = useStream(
    `stack ${name}`,
    (signal) => broker.watchStack({ stack: name }, { signal }),
    (message, first) =>
      setSnapshot((before) => {
        const after = new Map(first ? [] : before.placements);
        for (const placement of message.placements) after.set(placement.agentId, placement);
        for (const id of message.goneAgentIds) after.delete(id);
        return { stack: message.stack ?? before.stack, placements: after };
      }),
  );
  const chosen = tabs.find((each) => each === tab) ?? 'placements';
  return (
    <>
      <ViewHeader
        title={name}
        above={<Link href="/stacks">Stacks</Link>}
        aside={
          <>
            <ConnectionStatus connection={connection} />
            {stack?.deleteTime && <span className="faint">being deleted</span>}
          </>
        }
      >
        {canWrite && stack && !stack.deleteTime && <StackActions stack={stack} />}
      </ViewHeader>
      <ErrorMessage error={error} />
      {stack && (
        <>
          <dl className="strip">
            <div>
              <dt>Revision</dt>
              <dd>{stack.revision || 'none yet'}</dd>
            </div>
            <div>
              <dt>Placements</dt>
              <dd>
                <PhaseTally counts={stack.placements} />
              </dd>
            </div>
            <div>
              <dt>Health</dt>
              <dd>
                <HealthTally counts={stack.health} />
              </dd>
            </div>
          </dl>
          <nav className="tabs" aria-label="Stack">
            {tabs.map((each) => (
              <Link
                key={each}
                href={each === 'placements' ? stackPath(name) : stackPath(name, each)}
                aria-current={each === chosen ? 'page' : undefined}
              >
                {each.charAt(0).toUpperCase() + each.slice(1)}
              </Link>
            ))}
          </nav>
          <TabView tab={chosen} name={name} stack={stack} placements={placements} />
        </>
      )}
    </>
  );
}

const { FAILED, HELD, AHEAD, REMOVING, PENDING } = PlacementPhase;
const worst: readonly PlacementPhase[] = [FAILED, HELD, AHEAD, REMOVING, PENDING];

/** Sorts placements that need attention first, then by agent name. */
function bySeverity({ phase: a, agent: x }: Placement, { phase: b, agent: y }: Placement): number {
  const rank = (phase: PlacementPhase) => (worst.includes(phase) ? worst.indexOf(phase) : worst.length);
  return rank(a) - rank(b) || x.localeCompare(y, 'en', { numeric: true });
}

function TabView({
  tab,
  name,
  stack,
  placements,
}: {
  tab: Tab;
  name: string;
  stack: Stack;
  placements: ReadonlyMap<string, Placement>;
}) {
  switch (tab) {
    case 'placements':
      return <Placements owner="stack" placements={[...placements.values()].sort(bySeverity)} />;
    case 'objects':
      return stack.revision === 0 ? <EmptyState>Nothing has been deployed yet.</EmptyState> : <Objects stack={stack} />;
    case 'revisions':
      return stack.revision === 0 ? (
        <EmptyState>Nothing has been deployed yet.</EmptyState>
      ) : (
        <Revisions stack={stack} />
      );
    case 'events':
      return <Events filter={{ stack: name }} linkTo="agent" />;
    case 'logs':
      return <Logs name={name} agents={[...placements.values()].map(({ agent }) => agent)} />;
    case 'settings':
      return <Settings stack={stack} />;
  }
}
