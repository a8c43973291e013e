/** The end of a call, without an AbortSignal for calls that nobody waits in. */
export interface Lifetime {
  /** True once the call has ended: answered, cancelled by the client, or past its deadline. */
  readonly ended: boolean;
  /** Aborts when the call ends. It is made at the first access, so callers read it only where they wait. */
  readonly signal: AbortSignal;
  /** Calls the listener once when the call ends; at once if it has ended. */
  onEnd(listener: () => void): void;
}

/** A call, with its lifetime or at least a signal that aborts when it ends. */
export interface EndingCall {
  readonly signal: AbortSignal;
  readonly lifetime?: Lifetime | undefined;
}

/** Returns the lifetime of a call. Calls of connect-node have only a signal. */
export function lifetimeOf(call: EndingCall): Lifetime {
  return call.lifetime ?? fromSignal(call.signal);
}

function fromSignal(signal: AbortSignal): Lifetime {
  return {
    signal,
    get ended() {
      return signal.aborted;
    },
    onEnd(listener) {
      if (signal.aborted) listener();
      else signal.addEventListener('abort', listener, { once: true });
    },
  };
}

/** The lifetime of a call that makes its signal lazily. */
export class LazyLifetime implements Lifetime {
  ended = false;
  #reason: unknown;
  #controller: AbortController | undefined;
  #listeners: (() => void)[] | undefined;

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.ended && !this.#controller.signal.aborted) this.#controller.abort(this.#reason);
    return this.#controller.signal;
  }

  onEnd(listener: () => void): void {
    if (this.ended) listener();
    else if (this.#listeners) this.#listeners.push(listener);
    else this.#listeners = [listener];
  }

  /** Ends the call; the first reason counts, and becomes that of the signal. */
  end(reason: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
    for (const listener of this.#listeners ?? []) listener();
    this.#listeners = undefined;
  }
}
