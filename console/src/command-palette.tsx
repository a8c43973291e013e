import { type KeyboardEvent, useEffect, useId, useState } from 'react';
import { Dialog } from './components/dialog.tsx';
import { Icon, type IconName } from './components/icon.tsx';
import { LoadProblem } from './components/problem.tsx';
import { useLoad } from './load.ts';
import { go, pathOf } from './router.tsx';
import { type Session, useSession } from './session/session.ts';

interface Goal {
  readonly name: string;
  readonly kind: string;
  readonly icon: IconName;
  readonly href: string;
}

const mostGoals = 12;

/** Goes to a stack or an agent by a part of its name: Ctrl+K, from anywhere. */
export function Jump() {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const come = (event: globalThis.KeyboardEvent) => {
      if (event.key !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      // Not over another dialog, which would be left half done.
      setOpen((before) => before || !document.querySelector('dialog[open]'));
    };
    document.addEventListener('keydown', come);
    return () => document.removeEventListener('keydown', come);
  }, []);
  return (
    <>
      <button type="button" className="jump" aria-keyshortcuts="Control+K" onClick={() => setOpen(true)}>
        <Icon name="search" />
        Jump to…
        <span className="keycap" aria-hidden="true">
          Ctrl K
        </span>
      </button>
      {open && <Goals onClose={() => setOpen(false)} />}
    </>
  );
}

function Goals({ onClose }: { onClose: () => void }) {
  const session = useSession();
  const id = useId();
  const [search, setSearch] = useState('');
  const [at, setAt] = useState(0);
  const wanted = search.trim().toLowerCase();
  const { data, error } = useLoad(`jump ${wanted}`, (signal) => findGoals(session, wanted, signal), { once: true });
  const goals = data ?? [];
  const chosen = Math.min(at, goals.length - 1);
  const leave = (goal: Goal | undefined) => {
    if (!goal) return;
    onClose();
    go(goal.href);
  };
  const press = (event: KeyboardEvent) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key as keyof typeof steps];
    if (event.key === 'Enter') leave(goals[chosen]);
    else if (step !== undefined && goals.length > 0) setAt((chosen + step + goals.length) % goals.length);
    else return;
    event.preventDefault();
  };
  return (
    <Dialog title="Jump to a stack or an agent" onClose={onClose}>
      <input
        className="wide-field"
        role="combobox"
        aria-label="Name"
        aria-expanded="true"
        aria-controls={id}
        aria-autocomplete="list"
        aria-activedescendant={goals.length > 0 ? `${id}-${chosen}` : undefined}
        value={search}
        autoComplete="off"
        spellCheck={false}
        placeholder="A part of its name"
        onKeyDown={press}
        onChange={(event) => {
          setSearch(event.target.value);
          setAt(0);
        }}
      />
      <LoadProblem error={error} />
      <div id={id} className="goals" role="listbox" aria-label="Stacks and agents">
        {goals.map((goal, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard chooses from the field
          <div
            key={goal.href}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => leave(goal)}
          >
            <Icon name={goal.icon} />
            {goal.name}
            <span className="faint">{goal.kind}</span>
          </div>
        ))}
      </div>
      <p className="faint" role="status">
        {data && goals.length === 0 ? 'Nothing has a name like that.' : ''}
      </p>
    </Dialog>
  );
}

async function findGoals({ broker, admin, sees }: Session, wanted: string, signal: AbortSignal): Promise<Goal[]> {
  const agentNames = async () => {
    if (!sees) return (await broker.listAgents({ pageSize: 500 }, { signal })).agents.map(({ name }) => name);
    const { members } = await admin.listFleet({ search: wanted, pageSize: mostGoals }, { signal });
    return members.flatMap(({ agent }) => agent?.name ?? []);
  };
  const [{ stacks }, agents] = await Promise.all([broker.listStacks({ pageSize: 500 }, { signal }), agentNames()]);
  const all: Goal[] = [
    ...stacks.map(({ generator, name }) => ({
      name: `${generator}/${name}`,
      kind: 'stack',
      icon: 'stack' as const,
      href: pathOf('stacks', generator, name),
    })),
    ...agents.map((name) => ({ name, kind: 'agent', icon: 'fleet' as const, href: pathOf('agents', name) })),
  ];
  return all.filter(({ name }) => name.includes(wanted)).slice(0, mostGoals);
}
