import { type FormEvent, type ReactNode, useId, useLayoutEffect, useRef, useState } from 'react';
import { tell } from '../errors.ts';
import { Problem } from './problem.tsx';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly wide?: boolean;
}

/** A window over the page. It has the focus while it is there; Escape closes it. */
export function Dialog({ title, onClose, children, wide = false }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Closed before it is taken away: then the focus goes back to where it was.
  useLayoutEffect(() => {
    const shown = dialog.current;
    shown?.showModal();
    return () => shown?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className={wide ? 'wide' : undefined}
      aria-labelledby={id}
      onClose={() => dialog.current?.open || onClose()}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface AskProps {
  readonly title: string;
  readonly children: ReactNode;
  /** What the button says. */
  readonly action: string;
  readonly danger?: boolean;
  /** Must be typed before the button works. */
  readonly name?: string;
  readonly wide?: boolean;
  readonly ready?: boolean;
  /** What was done is shown in its place. */
  readonly stays?: boolean;
  readonly onClose: () => void;
  /** Does it. The dialog closes when it succeeds, and tells why when it fails. */
  readonly onDo: (form: FormData) => Promise<unknown>;
}

/** Asks before something is done, with a form or for a confirmation. */
export function ConfirmDialog({
  title,
  children,
  action,
  danger = false,
  name,
  wide,
  ready = true,
  stays = false,
  onClose,
  onDo,
}: AskProps) {
  const [typed, setTyped] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      await onDo(new FormData(event.currentTarget));
      if (!stays) onClose();
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose} {...(wide !== undefined && { wide })}>
      <form onSubmit={submit}>
        {children}
        {name !== undefined && (
          <label className="field">
            <span>
              Type <strong>{name}</strong> to confirm
            </span>
            <input
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              autoComplete="off"
              spellCheck={false}
            />
          </label>
        )}
        {failure !== undefined && <Problem told={tell(failure)} />}
        <div className="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className={danger ? 'danger' : 'primary'}
            disabled={busy || !ready || (name !== undefined && typed !== name)}
          >
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Shows a new key, this once. */
export function NewKey({ what, pak, onClose }: { what: string; pak: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(pak);
    setCopied(true);
  };
  return (
    <Dialog title="A new key" onClose={onClose}>
      <p>The key of {what}, shown this once. Keep it where secrets are kept.</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard */}
      <pre className="secret" tabIndex={0} role="region" aria-label="The new key">
        {pak}
      </pre>
      <div className="buttons">
        {/* There is no clipboard without TLS, but on this machine. */}
        {isSecureContext && (
          <button type="button" onClick={copy}>
            {copied ? 'Copied' : 'Copy'}
          </button>
        )}
        <button type="button" className="primary" onClick={onClose}>
          I have kept it
        </button>
      </div>
    </Dialog>
  );
}
