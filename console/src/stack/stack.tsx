import { useState } from 'react';
import { type Placement, PlacementPhase } from '../../../gen/brokkr/v1/placement_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { Events } from '../components/events.tsx';
import { Head } from '../components/head.tsx';
import { part } from '../components/part.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { Healths, LinkStatus, Phases } from '../components/status.tsx';
import { useWatch } from '../load.ts';
import { Link, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { StackDoings } from './actions.tsx';
import { Objects } from './objects.tsx';
import { Placements } from './placements.tsx';
import { Settings } from './settings.tsx';

// With it comes what reads and writes YAML.
const Revisions = part(async () => (await import('./revisions.tsx')).Revisions);
const Logs = part(async () => (await import('./logs.tsx')).Logs);

const tabs = ['placements', 'objects', 'revisions', 'events', 'logs', 'settings'] as const;
type Tab = (typeof tabs)[number];

interface Seen {
  readonly stack: Stack | undefined;
  readonly placements: ReadonlyMap<string, Placement>;
}

/** One stack, as it is now: where it is, what it is made of, and how it came to be. */
export function StackView({ name, tab }: { name: string; tab: string | undefined }) {
  const { broker, writes } = useSession();
  const [{ stack, placements }, setSeen] = useState<Seen>({ stack: undefined, placements: new Map() });
  const { link, error } = useWatch(
    `stack ${name}`,
    (signal) => broker.watchStack({ stack: name }, { signal }),
    (message, first) =>
      setSeen((before) => {
        const after = new Map(first ? [] : before.placements);
        for (const placement of message.placements) after.set(placement.agentId, placement);
        for (const id of message.goneAgentIds) after.delete(id);
        return { stack: message.stack ?? before.stack, placements: after };
      }),
  );
  const chosen = tabs.find((each) => each === tab) ?? 'placements';
  return (
    <>
      <Head
        title={name}
        above={<Link href="/stacks">Stacks</Link>}
        aside={
          <>
            <LinkStatus link={link} />
            {stack?.deleteTime && <span className="faint">being deleted</span>}
          </>
        }
      >
        {writes && stack && !stack.deleteTime && <StackDoings stack={stack} />}
      </Head>
      <LoadProblem error={error} />
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
                <Phases counts={stack.placements} />
              </dd>
            </div>
            <div>
              <dt>Health</dt>
              <dd>
                <Healths counts={stack.health} />
              </dd>
            </div>
          </dl>
          <nav className="tabs" aria-label="Of this stack">
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

/** What needs a look first, then by name. */
function byNeed({ phase: a, agent: x }: Placement, { phase: b, agent: y }: Placement): number {
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
      return <Placements of="stack" placements={[...placements.values()].sort(byNeed)} />;
    case 'objects':
      return stack.revision === 0 ? <Nothing>Nothing was deployed yet.</Nothing> : <Objects stack={stack} />;
    case 'revisions':
      return stack.revision === 0 ? <Nothing>Nothing was deployed yet.</Nothing> : <Revisions stack={stack} />;
    case 'events':
      return <Events of={{ stack: name }} shows="agent" />;
    case 'logs':
      return <Logs name={name} agents={[...placements.values()].map(({ agent }) => agent)} />;
    case 'settings':
      return <Settings stack={stack} />;
  }
}
