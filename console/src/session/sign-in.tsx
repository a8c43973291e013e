import { Code, ConnectError } from '@connectrpc/connect';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { Icon } from '../components/icon.tsx';
import { Problem } from '../components/problem.tsx';
import { type Told, tell } from '../errors.ts';
import { type Session, signIn } from './session.ts';

interface SignInProps {
  /** Why somebody who was signed in is here again. */
  readonly reason: string;
  readonly onSignedIn: (session: Session) => void;
  readonly onEnded: () => void;
}

/** Asks for a key. It is kept in memory: a reload of the page asks again. */
export function SignIn({ reason, onSignedIn, onEnded }: SignInProps) {
  const [told, setTold] = useState<Told>();
  const [busy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    document.title = 'Sign in · Brokkr';
    field.current?.focus();
  }, []);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    const pak = field.current?.value.trim() ?? '';
    setBusy(true);
    setTold(undefined);
    try {
      onSignedIn(await signIn(pak, onEnded));
    } catch (error) {
      setTold(explain(error));
      setBusy(false);
      field.current?.select();
    }
  };
  return (
    <main className="sign-in">
      <form onSubmit={submit}>
        <div className="brand">
          <Icon name="anvil" />
          <h1>Brokkr</h1>
        </div>
        <p className="faint">Sign in with a key (PAK) of an admin or a generator.</p>
        {reason !== '' && !told && (
          <p className="reason" role="status">
            {reason}
          </p>
        )}
        <label className="field">
          <span>Key</span>
          <input
            ref={field}
            type="password"
            name="pak"
            required
            autoComplete="current-password"
            spellCheck={false}
            placeholder="brokkr_…"
            aria-invalid={told !== undefined}
          />
        </label>
        {told && <Problem told={told} />}
        {isCleartext() && (
          <p className="hint">
            <Icon name="warning" /> This page is not encrypted: your key would cross the network readable.
          </p>
        )}
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <p className="hint">The key stays in this page’s memory, and is gone when it is closed or reloaded.</p>
      </form>
    </main>
  );
}

function explain(error: unknown): Told {
  if (error instanceof ConnectError && error.code === Code.Unauthenticated)
    return { message: 'The broker does not accept this key: it is mistyped, revoked or expired.', violations: [] };
  return tell(error);
}

function isCleartext(): boolean {
  return location.protocol !== 'https:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
}
