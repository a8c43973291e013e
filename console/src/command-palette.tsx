import { type KeyboardEvent, useEffect, useId, useState } from 'react';
import { Dialog } from './components/dialog.tsx';
import { Icon, type IconName } from './components/icon.tsx';
import { ErrorMessage } from './components/problem.tsx';
import { useLoad } from './load.ts';
import { navigate, pathOf } from './router.tsx';
import { type Session, useSession } from './session/session.ts';

interface PaletteItem {
  readonly name: string;
  readonly kind: string;
  readonly icon: IconName;
  readonly href: string;
}

const maxItems = 12;

/** Opens a stack or an agent by part of its name. Ctrl+K opens the palette from any view. */
export function CommandPalette() {
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const openOnShortcut = (event: globalThis.KeyboardEvent) => {
      if (event.key !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      // Do not open over another dialog, which may hold unsaved input.
      setOpen((before) => before || !document.querySelector('dialog[open]'));
    };
    document.addEventListener('keydown', openOnShortcut);
    return () => document.removeEventListener('keydown', openOnShortcut);
  }, []);
  return (
    <>
      <button type="button" className="palette-button" aria-keyshortcuts="Control+K" onClick={() => setOpen(true)}>
        <Icon name="search" />
        Jump to…
        <span className="keycap" aria-hidden="true">
          Ctrl K
        </span>
      </button>
      {open && <PaletteDialog onClose={() => setOpen(false)} />}
    </>
  );
}

function PaletteDialog({ onClose }: { onClose: () => void }) {
  const session = useSession();
  const id = useId();
  const [search, setSearch] = useState('');
  const [selected, setSelected] = useState(0);
  const wanted = search.trim().toLowerCase();
  const { data, error } = useLoad(`jump ${wanted}`, (signal) => findItems(session, wanted, signal), { once: true });
  const items = data ?? [];
  const chosen = Math.min(selected, items.length - 1);
  const openItem = (item: PaletteItem | undefined) => {
    if (!item) return;
    onClose();
    navigate(item.href);
  };
  const handleKey = (event: KeyboardEvent) => {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key as keyof typeof steps];
    if (event.key === 'Enter') openItem(items[chosen]);
    else if (step !== undefined && items.length > 0) setSelected((chosen + step + items.length) % items.length);
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
        aria-activedescendant={items.length > 0 ? `${id}-${chosen}` : undefined}
        value={search}
        autoComplete="off"
        spellCheck={false}
        placeholder="Part of the name"
        onKeyDown={handleKey}
        onChange={(event) => {
          setSearch(event.target.value);
          setSelected(0);
        }}
      />
      <ErrorMessage error={error} />
      <div id={id} className="palette-items" role="listbox" aria-label="Stacks and agents">
        {items.map((item, index) => (
          // biome-ignore lint/a11y/useKeyWithClickEvents: the keyboard selects from the text field
          <div
            key={item.href}
            id={`${id}-${index}`}
            role="option"
            aria-selected={index === chosen}
            onClick={() => openItem(item)}
          >
            <Icon name={item.icon} />
            {item.name}
            <span className="faint">{item.kind}</span>
          </div>
        ))}
      </div>
      <p className="faint" role="status">
        {data && items.length === 0 ? 'No stack or agent matches.' : ''}
      </p>
    </Dialog>
  );
}

async function findItems(
  { broker, admin, seesAll }: Session,
  wanted: string,
  signal: AbortSignal,
): Promise<PaletteItem[]> {
  const agentNames = async () => {
    if (!seesAll) return (await broker.listAgents({ pageSize: 500 }, { signal })).agents.map(({ name }) => name);
    const { members } = await admin.listFleet({ search: wanted, pageSize: maxItems }, { signal });
    return members.flatMap(({ agent }) => agent?.name ?? []);
  };
  const [{ stacks }, agents] = await Promise.all([broker.listStacks({ pageSize: 500 }, { signal }), agentNames()]);
  const all: PaletteItem[] = [
    ...stacks.map(({ generator, name }) => ({
      name: `${generator}/${name}`,
      kind: 'stack',
      icon: 'stack' as const,
      href: pathOf('stacks', generator, name),
    })),
    ...agents.map((name) => ({ name, kind: 'agent', icon: 'fleet' as const, href: pathOf('agents', name) })),
  ];
  return all.filter(({ name }) => name.includes(wanted)).slice(0, maxItems);
}
