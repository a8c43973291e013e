import { Code, ConnectError } from '@connectrpc/connect';
import { useCallback, useEffect, useEffectEvent, useState } from 'react';

/** The state of a repeated request. Older data is kept while it is requested again, and when that fails. */
export interface Loaded<T> {
  readonly data: T | undefined;
  readonly error: unknown;
  readonly reload: () => void;
}

/** Milliseconds between two requests of a view without a stream. */
const reloadEveryMs = 5_000;
/** Pause after a request as a multiple of its duration, so that slow requests take at most a tenth of the time. */
const pausePerRequest = 9;

/**
 * Loads data, and loads it again when `key` changes, about every 5 seconds while the page is visible, and on `reload`. With `once` it
 * does not repeat. With an undefined `key` it loads nothing.
 */
export function useLoad<T>(
  key: string | undefined,
  load: (signal: AbortSignal) => Promise<T>,
  { once = false } = {},
): Loaded<T> {
  const [state, setState] = useState<{ key: string | undefined; data?: T; error?: unknown }>({ key });
  const [reloadCount, setReloadCount] = useState(0);
  const loadLatest = useEffectEvent(load);
  // biome-ignore lint/correctness/useExhaustiveDependencies: `reload` increments the count to load again
  useEffect(() => {
    if (key === undefined) return;
    const controller = new AbortController();
    let timer: number | undefined;
    const run = async () => {
      const startMs = performance.now();
      try {
        const data = await loadLatest(controller.signal);
        if (!controller.signal.aborted) setState({ key, data });
      } catch (error) {
        if (controller.signal.aborted) return;
        setState((before) => ({ key, ...(before.key === key && { data: before.data as T }), error }));
      }
      if (!once && !controller.signal.aborted)
        timer = window.setTimeout(
          runIfVisible,
          Math.max(reloadEveryMs, (performance.now() - startMs) * pausePerRequest),
        );
    };
    const runIfVisible = () => {
      if (!document.hidden) void run();
    };
    const handleVisibility = () => {
      if (document.hidden || once) return;
      window.clearTimeout(timer);
      void run();
    };
    document.addEventListener('visibilitychange', handleVisibility);
    void run();
    return () => {
      controller.abort();
      window.clearTimeout(timer);
      document.removeEventListener('visibilitychange', handleVisibility);
    };
  }, [key, once, reloadCount]);
  const reload = useCallback(() => setReloadCount((before) => before + 1), []);
  return {
    data: state.key === key ? state.data : undefined,
    error: state.key === key ? state.error : undefined,
    reload,
  };
}

/** The state of a stream; it is opened again when it is lost, but not when it has ended. */
export type Connection = 'connecting' | 'live' | 'lost' | 'ended';

export interface StreamState {
  readonly connection: Connection;
  /** The error with which the stream ended permanently, such as NOT_FOUND. */
  readonly error: unknown;
}

const firstRetryMs = 500;
const maxRetryMs = 10_000;
/** Errors for which a retry does not help. */
const permanentCodes = new Set([
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
  Code.InvalidArgument,
  Code.FailedPrecondition,
]);

/**
 * Reads a stream while the page is visible and reopens it when it breaks. `take` receives every message; `isFirst` marks the first one
 * after each opening, which carries the complete state. A hidden page closes its stream, because without TLS a browser shares six
 * connections to the broker among all its tabs.
 */
export function useStream<M>(
  key: string,
  open: (signal: AbortSignal) => AsyncIterable<M>,
  take: (message: M, isFirst: boolean) => void,
): StreamState {
  const [state, setState] = useState<StreamState>({ connection: 'connecting', error: undefined });
  const openLatest = useEffectEvent(open);
  const takeLatest = useEffectEvent(take);
  // biome-ignore lint/correctness/useExhaustiveDependencies: another key means another stream
  useEffect(() => {
    let controller = new AbortController();
    const run = async ({ signal }: AbortController) => {
      setState({ connection: 'connecting', error: undefined });
      for (let waitMs = firstRetryMs; !signal.aborted; waitMs = Math.min(waitMs * 2, maxRetryMs)) {
        let isFirst = true;
        try {
          for await (const message of openLatest(signal)) {
            if (signal.aborted) return;
            if (isFirst) setState({ connection: 'live', error: undefined });
            takeLatest(message, isFirst);
            isFirst = false;
            waitMs = firstRetryMs;
          }
        } catch (error) {
          if (signal.aborted) return;
          if (permanentCodes.has(ConnectError.from(error).code)) {
            setState({ connection: 'ended', error });
            return;
          }
        }
        if (signal.aborted) return;
        setState({ connection: 'lost', error: undefined });
        await new Promise((settle) => setTimeout(settle, waitMs));
      }
    };
    const handleVisibility = () => {
      controller.abort();
      if (document.hidden) return;
      controller = new AbortController();
      void run(controller);
    };
    document.addEventListener('visibilitychange', handleVisibility);
    handleVisibility();
    return () => {
      controller.abort();
      document.removeEventListener('visibilitychange', handleVisibility);
    };
  }, [key]);
  return state;
}
