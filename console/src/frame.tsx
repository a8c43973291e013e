import { type ReactNode, useEffect, useRef, useState } from 'react';
import { Jump } from './command-palette.tsx';
import { Icon, type IconName } from './components/icon.tsx';
import { Ago } from './components/time.tsx';
import { roles } from './enum-labels.ts';
import { Link, usePlace } from './router.tsx';
import { useSession } from './session/session.ts';

interface Area {
  readonly path: string;
  readonly name: string;
  readonly icon: IconName;
  /** Only for those who see everything. */
  readonly admins?: boolean;
}

const areas: readonly Area[] = [
  { path: 'fleet', name: 'Fleet', icon: 'fleet', admins: true },
  { path: 'agents', name: 'Agents', icon: 'fleet' },
  { path: 'stacks', name: 'Stacks', icon: 'stack' },
  { path: 'explain', name: 'Explain', icon: 'question' },
  { path: 'generators', name: 'Generators', icon: 'people', admins: true },
  { path: 'audit', name: 'Audit', icon: 'record', admins: true },
  { path: 'keys', name: 'Keys', icon: 'key' },
];

/** What is around every view: where one can go, and who one is. */
export function Frame({ children, onLeave }: { children: ReactNode; onLeave: () => void }) {
  const { who, sees } = useSession();
  const { parts } = usePlace();
  // Whoever sees the fleet finds the agents there.
  const mine = areas.filter(({ path, admins }) => (sees ? path !== 'agents' : !admins));
  const here = parts[0] === 'agents' && sees ? 'fleet' : parts[0];
  const main = useRef<HTMLElement>(null);
  const view = parts.slice(0, 3).join('/');
  const lastView = useRef(view);
  // The link that was followed is gone with its view: the keyboard goes on from the new one.
  useEffect(() => {
    if (lastView.current !== '' && lastView.current !== view) main.current?.focus({ preventScroll: true });
    lastView.current = view;
  }, [view]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="side">
        <Link href="/" className="brand">
          <Icon name="anvil" />
          <span>Brokkr</span>
        </Link>
        <Jump />
        <nav aria-label="Main">
          <ul>
            {mine.map(({ path, name, icon }) => (
              <li key={path}>
                <Link href={`/${path}`} aria-current={here === path ? 'page' : undefined}>
                  <Icon name={icon} />
                  {name}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="who">
          <div className="me">
            <strong>{who.name}</strong>
            <span className="faint">{roles[who.role]}</span>
            {who.expireTime && (
              <span className="faint">
                key ends <Ago time={who.expireTime} />
              </span>
            )}
          </div>
          <Theme />
          <button type="button" className="quiet" onClick={onLeave} aria-label="Sign out" title="Sign out">
            <Icon name="leave" />
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1} ref={main}>
        {children}
      </main>
    </div>
  );
}

/** Light or dark: as the system has it, until one says otherwise. */
function Theme() {
  const [dark, setDark] = useState(
    () =>
      (document.documentElement.dataset.theme ??
        (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light')) === 'dark',
  );
  const change = () => {
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    setDark(!dark);
  };
  const name = dark ? 'Light colours' : 'Dark colours';
  return (
    <button type="button" className="quiet" onClick={change} aria-label={name} title={name}>
      <Icon name={dark ? 'sun' : 'moon'} />
    </button>
  );
}
