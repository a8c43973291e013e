import type { ServerHttp2Session } from 'node:http2';

const pingEveryMs = 30_000;
const answerWithinMs = 20_000;

/** Ends connections whose peer has vanished without a word: a PING that is not answered in time. Returns how to stop. */
export function pingSessions(sessions: ReadonlySet<ServerHttp2Session>): () => void {
  const waiting = new Map<ServerHttp2Session, number>();
  const timer = setInterval(() => {
    const now = Date.now();
    for (const [session, since] of waiting) {
      if (session.destroyed) waiting.delete(session);
      else if (now - since > answerWithinMs) session.destroy();
    }
    for (const session of sessions) {
      if (waiting.has(session) || session.destroyed || session.closed) continue;
      waiting.set(session, now);
      session.ping((error) => {
        if (!error) waiting.delete(session);
      });
    }
  }, pingEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
