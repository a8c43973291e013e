import { type FormEvent, type ReactNode, useId, useLayoutEffect, useRef, useState } from 'react';
import { ErrorMessage } from './problem.tsx';

interface DialogProps {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
  readonly wide?: boolean;
}

/** A modal dialog. It holds the focus; Escape closes it. */
export function Dialog({ title, onClose, children, wide = false }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Close before the element is removed, so that the browser restores the focus.
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

interface ConfirmDialogProps {
  readonly title: string;
  readonly children: ReactNode;
  /** Label of the button. */
  readonly action: string;
  readonly danger?: boolean;
  /** Text to type before the button is enabled. */
  readonly confirmText?: string;
  readonly wide?: boolean;
  readonly isReady?: boolean;
  /** Keeps the dialog open after success; the caller replaces it. */
  readonly staysOpen?: boolean;
  readonly onClose: () => void;
  /** Runs the action. The dialog closes when it succeeds and shows the error when it fails. */
  readonly onConfirm: (form: FormData) => Promise<unknown>;
}

/** Asks for input or for a confirmation before an action. */
export function ConfirmDialog({
  title,
  children,
  action,
  danger = false,
  confirmText,
  wide,
  isReady = true,
  staysOpen = false,
  onClose,
  onConfirm,
}: ConfirmDialogProps) {
  const [typedText, setTypedText] = useState('');
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<unknown>();
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setFailure(undefined);
    try {
      await onConfirm(new FormData(event.currentTarget));
      if (!staysOpen) onClose();
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
        {confirmText !== undefined && (
          <label className="field">
            <span>
              Type <strong>{confirmText}</strong> to confirm
            </span>
            <input
              value={typedText}
              onChange={(event) => setTypedText(event.target.value)}
              autoComplete="off"
              spellCheck={false}
            />
          </label>
        )}
        <ErrorMessage error={failure} />
        <div className="buttons">
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button
            type="submit"
            className={danger ? 'danger' : 'primary'}
            disabled={busy || !isReady || (confirmText !== undefined && typedText !== confirmText)}
          >
            {action}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

/** Shows a new key once. */
export function NewKey({ owner, pak, onClose }: { owner: string; pak: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(pak);
    setCopied(true);
  };
  return (
    <Dialog title="New key" onClose={onClose}>
      <p>The key of {owner}. It is shown only once: store it where you keep secrets.</p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard */}
      <pre className="secret" tabIndex={0} role="region" aria-label="The new key">
        {pak}
      </pre>
      <div className="buttons">
        {/* Browsers have no clipboard without TLS, except on localhost. */}
        {isSecureContext && (
          <button type="button" onClick={copy}>
            {copied ? 'Copied' : 'Copy'}
          </button>
        )}
        <button type="button" className="primary" onClick={onClose}>
          I have stored it
        </button>
      </div>
    </Dialog>
  );
}
