import { type ReactNode, useEffect, useRef, useState } from 'react';
import { CommandPalette } from './command-palette.tsx';
import { Icon, type IconName } from './components/icon.tsx';
import { RelativeTime } from './components/relative-time.tsx';
import { roleNames } from './enum-labels.ts';
import { Link, useLocation } from './router.tsx';
import { useSession } from './session/session.ts';

interface NavigationItem {
  readonly path: string;
  readonly name: string;
  readonly icon: IconName;
  /** Shown only to admins, read-only or not. */
  readonly adminsOnly?: boolean;
}

const navigation: readonly NavigationItem[] = [
  { path: 'fleet', name: 'Fleet', icon: 'fleet', adminsOnly: true },
  { path: 'agents', name: 'Agents', icon: 'fleet' },
  { path: 'stacks', name: 'Stacks', icon: 'stack' },
  { path: 'explain', name: 'Explain', icon: 'question' },
  { path: 'generators', name: 'Generators', icon: 'people', adminsOnly: true },
  { path: 'audit', name: 'Audit', icon: 'record', adminsOnly: true },
  { path: 'keys', name: 'Keys', icon: 'key' },
];

/** The frame around every view: navigation and the signed-in caller. */
export function Frame({ children, onLeave }: { children: ReactNode; onLeave: () => void }) {
  const { caller, seesAll } = useSession();
  const { segments } = useLocation();
  // Admins find the agents in the fleet view.
  const visible = navigation.filter(({ path, adminsOnly }) => (seesAll ? path !== 'agents' : !adminsOnly));
  const current = segments[0] === 'agents' && seesAll ? 'fleet' : segments[0];
  const main = useRef<HTMLElement>(null);
  const view = segments.slice(0, 3).join('/');
  const lastView = useRef(view);
  // The focused link disappeared with its view: move the keyboard focus to the new view.
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
        <CommandPalette />
        <nav aria-label="Main">
          <ul>
            {visible.map(({ path, name, icon }) => (
              <li key={path}>
                <Link href={`/${path}`} aria-current={current === path ? 'page' : undefined}>
                  <Icon name={icon} />
                  {name}
                </Link>
              </li>
            ))}
          </ul>
        </nav>
        <div className="who">
          <div className="me">
            <strong>{caller.name}</strong>
            <span className="faint">{roleNames[caller.role]}</span>
            {caller.expireTime && (
              <span className="faint">
                key expires <RelativeTime time={caller.expireTime} />
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

/** Switches between light and dark; follows the system until the user chooses. */
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
  const name = dark ? 'Light theme' : 'Dark theme';
  return (
    <button type="button" className="quiet" onClick={change} aria-label={name} title={name}>
      <Icon name={dark ? 'sun' : 'moon'} />
    </button>
  );
}
