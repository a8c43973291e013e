import { Code, ConnectError } from '@connectrpc/connect';
import { type FormEvent, useEffect, useRef, useState } from 'react';
import { Icon } from './components/icon.tsx';
import { Problem } from './components/problem.tsx';
import { type ErrorSummary, summarizeError } from './errors.ts';
import { type Session, signIn } from './session/session.ts';

interface SignInProps {
  /** The reason that the previous session ended; '' when there was none. */
  readonly reason: string;
  readonly onSignedIn: (session: Session) => void;
  readonly onEnded: () => void;
}

/** The sign-in form. The key is kept in memory only: reloading the page asks for it again. */
export function SignIn({ reason, onSignedIn, onEnded }: SignInProps) {
  const [failure, setFailure] = useState<ErrorSummary>();
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
    setFailure(undefined);
    try {
      onSignedIn(await signIn(pak, onEnded));
    } catch (error) {
      setFailure(explain(error));
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
        <p className="faint">Sign in with the key (PAK) of an admin or a generator.</p>
        {reason !== '' && !failure && (
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
            aria-invalid={failure !== undefined}
          />
        </label>
        {failure && <Problem summary={failure} />}
        {isCleartext() && (
          <p className="hint">
            <Icon name="warning" /> This connection is not encrypted: your key would cross the network in clear text.
          </p>
        )}
        <button type="submit" className="primary" disabled={busy}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        <p className="hint">The key is kept only in this page’s memory. Closing or reloading the page discards it.</p>
      </form>
    </main>
  );
}

function explain(error: unknown): ErrorSummary {
  if (error instanceof ConnectError && error.code === Code.Unauthenticated)
    return { message: 'The broker does not accept this key. It is mistyped, revoked or expired.', violations: [] };
  return summarizeError(error);
}

function isCleartext(): boolean {
  return location.protocol !== 'https:' && !/^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname);
}
