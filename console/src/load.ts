import { Code, ConnectError } from '@connectrpc/connect';
import { useCallback, useEffect, useEffectEvent, useState } from 'react';

/** What was asked for, as far as it is there. Older data stays while it is asked for again, and when that fails. */
export interface Loaded<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly reload: () => void;
}

/** How often views without a stream ask again; the answers to a long question never take more than a tenth of the time. */
const everyMs = 5_000;
const pausePerAnswer = 9;

/**
 * Asks, and again when `key` changes, about every 5 s while the page is looked at (`once`: not), and on `reload`. A `key` of undefined asks nothing.
 */
export function useLoad<T>(
  key: string | undefined,
  load: (signal: AbortSignal) => Promise<T>,
  { once = false } = {},
): Loaded<T> {
  const [state, setState] = useState<{ key: string | undefined; data?: T; error?: unknown }>({ key });
  const [turn, setTurn] = useState(0);
  const ask = useEffectEvent(load);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a turn is what `reload` asks for
  useEffect(() => {
    if (key === undefined) return;
    const ended = new AbortController();
    let timer: number | undefined;
    const run = async () => {
      const began = performance.now();
      try {
        const data = await ask(ended.signal);
        if (!ended.signal.aborted) setState({ key, data });
      } catch (error) {
        if (ended.signal.aborted) return;
        setState((before) => ({ key, ...(before.key === key && { data: before.data as T }), error }));
      }
      if (!once && !ended.signal.aborted)
        timer = window.setTimeout(again, Math.max(everyMs, (performance.now() - began) * pausePerAnswer));
    };
    const again = () => {
      if (!document.hidden) void run();
    };
    const shown = () => {
      if (document.hidden || once) return;
      window.clearTimeout(timer);
      void run();
    };
    document.addEventListener('visibilitychange', shown);
    void run();
    return () => {
      ended.abort();
      window.clearTimeout(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  }, [key, once, turn]);
  const reload = useCallback(() => setTurn((before) => before + 1), []);
  return {
    data: state.key === key ? state.data : undefined,
    error: state.key === key ? state.error : undefined,
    reload,
  };
}

/** How a stream does. */
export type Link = 'connecting' | 'live' | 'lost';

export interface Watched {
  readonly link: Link;
  /** Why it ended for good, such as NOT_FOUND. */
  readonly error: unknown;
}

const firstRetryMs = 500;
const lastRetryMs = 10_000;
/** What trying again does not mend. */
const final = new Set([
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.FailedPrecondition,
]);

/**
 * Reads a stream while the page is looked at, and opens it again when it breaks. `take` gets every message, with `first` for the
 * first one after each opening: everything comes anew then. A browser has 6 connections for a broker without TLS, in all its tabs:
 * so a hidden page gives its own back.
 */
export function useWatch<M>(
  key: string,
  open: (signal: AbortSignal) => AsyncIterable<M>,
  take: (message: M, first: boolean) => void,
): Watched {
  const [state, setState] = useState<Watched>({ link: 'connecting', error: undefined });
  const start = useEffectEvent(open);
  const given = useEffectEvent(take);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another key is another stream
  useEffect(() => {
    let ended = new AbortController();
    const run = async ({ signal }: AbortController) => {
      setState({ link: 'connecting', error: undefined });
      for (let waitMs = firstRetryMs; !signal.aborted; waitMs = Math.min(waitMs * 2, lastRetryMs)) {
        let first = true;
        try {
          for await (const message of start(signal)) {
            if (signal.aborted) return;
            if (first) setState({ link: 'live', error: undefined });
            given(message, first);
            first = false;
            waitMs = firstRetryMs;
          }
        } catch (error) {
          if (signal.aborted) return;
          if (final.has(ConnectError.from(error).code)) {
            setState({ link: 'lost', error });
            return;
          }
        }
        if (signal.aborted) return;
        setState({ link: 'lost', error: undefined });
        await new Promise((settle) => setTimeout(settle, waitMs));
      }
    };
    const shown = () => {
      ended.abort();
      if (document.hidden) return;
      ended = new AbortController();
      void run(ended);
    };
    document.addEventListener('visibilitychange', shown);
    shown();
    return () => {
      ended.abort();
      document.removeEventListener('visibilitychange', shown);
    };
  }, [key]);
  return state;
}
