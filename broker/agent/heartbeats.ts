import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Database } from '../store/orm.ts';
import type { ClusterState, Presence } from './rules.ts';
import { endSessions, type Heartbeat, writeHeartbeats } from './store.ts';

/** Collects heartbeats and writes them in batches. */
export interface Heartbeats {
  /** Notes a heartbeat. The write ignores it if the incarnation is no longer the current one. */
  beat(agentId: string, incarnation: bigint, cluster?: ClusterState): void;
  /**
   * Notes that an agent's session begins; it lasts until `end`. `diagnosticRequested` is called when a write finds that the agent has
   * a diagnostic to answer.
   */
  startSession(agentId: string, incarnation: bigint, diagnosticRequested: () => void): HeartbeatSession;
  close(): Promise<void>;
}

/** The heartbeats of one session. */
export interface HeartbeatSession {
  beat(cluster?: ClusterState): void;
  end(): void;
}

const writeEveryMs = 1_000;

/** Creates the writer of heartbeats: at most two statements a second, however many agents there are. */
export function createHeartbeats(db: Database, log: Logger): Heartbeats {
  let pending = new Map<string, Heartbeat>();
  let ended: [agentId: string, sessionId: string][] = [];
  const sessions = new Map<string, { readonly presence: Presence; readonly diagnosticRequested: () => void }>();
  let writing: Promise<void> = Promise.resolve();

  const add = (agentId: string, heartbeat: Heartbeat) => {
    const previous = pending.get(agentId);
    if (previous && previous.incarnation > heartbeat.incarnation) return;
    const isSameStart = previous?.incarnation === heartbeat.incarnation;
    const cluster = heartbeat.cluster ?? (isSameStart ? previous.cluster : undefined);
    pending.set(agentId, { ...heartbeat, cluster, presence: heartbeat.presence ?? previous?.presence });
  };
  const write = async () => {
    const [heartbeats, ends] = [pending, ended];
    pending = new Map();
    ended = [];
    // Lost heartbeats are not retried: the next one is due in 30 s, and a late one would show a dead agent as alive.
    const failed = (error: unknown) =>
      log.warn({ err: String(error), count: heartbeats.size + ends.length }, 'could not write heartbeats');
    if (heartbeats.size > 0) await writeHeartbeats(db, heartbeats).then(notifySessions, failed);
    if (ends.length > 0) await endSessions(db, ends).catch(failed);
  };
  const notifySessions = (agentIds: readonly string[]) => {
    for (const agentId of agentIds) sessions.get(agentId)?.diagnosticRequested();
  };
  const writeNext = () => {
    writing = writing.then(write);
  };
  const timer = setInterval(writeNext, writeEveryMs);
  return {
    beat: (agentId, incarnation, cluster) => add(agentId, { incarnation, cluster, presence: undefined }),
    startSession(agentId, incarnation, diagnosticRequested) {
      const presence = { id: randomUUID(), since: new Date() };
      const session = { presence, diagnosticRequested };
      sessions.set(agentId, session);
      return {
        beat: (cluster) => add(agentId, { incarnation, cluster, presence }),
        end() {
          ended.push([agentId, presence.id]);
          const heartbeat = pending.get(agentId);
          if (heartbeat?.presence === presence) pending.set(agentId, { ...heartbeat, presence: undefined });
          if (sessions.get(agentId) === session) sessions.delete(agentId);
        },
      };
    },
    async close() {
      clearInterval(timer);
      writeNext();
      await writing;
    },
  };
}
