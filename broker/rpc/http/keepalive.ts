import type { ServerHttp2Session } from 'node:http2';

const pingIntervalMs = 30_000;
const pingTimeoutMs = 20_000;

/** Pings HTTP/2 connections and destroys those whose peer does not answer in time. Returns a function that stops it. */
export function startKeepalive(sessions: ReadonlySet<ServerHttp2Session>): () => void {
  const pingedAt = new Map<ServerHttp2Session, number>();
  const timer = setInterval(() => {
    const now = Date.now();
    for (const [session, since] of pingedAt) {
      if (session.destroyed) pingedAt.delete(session);
      else if (now - since > pingTimeoutMs) session.destroy();
    }
    for (const session of sessions) {
      if (pingedAt.has(session) || session.destroyed || session.closed) continue;
      pingedAt.set(session, now);
      session.ping((error) => {
        if (!error) pingedAt.delete(session);
      });
    }
  }, pingIntervalMs);
  timer.unref();
  return () => clearInterval(timer);
}
