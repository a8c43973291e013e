import { randomUUID } from 'node:crypto';
import type { Logger } from 'pino';
import type { Database } from '../store/database.ts';
import type { ClusterState, Presence } from './rules.ts';
import { type Beat, endSessions, writeHeartbeats } from './store.ts';

/** Collects heartbeats and writes them together. */
export interface Heartbeats {
  /** Notes that an agent lives. Whether its incarnation is the current one is checked again when it is written. */
  beat(agentId: string, incarnation: bigint, cluster?: ClusterState): void;
  /** Notes that an agent's session begins; it lasts until `end`. `asked` is called when somebody wants something of the agent. */
  session(agentId: string, incarnation: bigint, asked: () => void): SessionBeats;
  close(): Promise<void>;
}

export interface SessionBeats {
  beat(cluster?: ClusterState): void;
  end(): void;
}

const writeEveryMs = 1_000;

/** Writes at most two statements a second, however many agents there are. */
export function createHeartbeats(db: Database, log: Logger): Heartbeats {
  let pending = new Map<string, Beat>();
  let ended: [agentId: string, sessionId: string][] = [];
  const sessions = new Map<string, { readonly presence: Presence; readonly asked: () => void }>();
  let writing: Promise<void> = Promise.resolve();

  const add = (agentId: string, beat: Beat) => {
    const before = pending.get(agentId);
    if (before && before.incarnation > beat.incarnation) return;
    const cluster = beat.cluster ?? (before?.incarnation === beat.incarnation ? before.cluster : undefined);
    pending.set(agentId, { ...beat, cluster, presence: beat.presence ?? before?.presence });
  };
  const write = async () => {
    const [beats, ends] = [pending, ended];
    pending = new Map();
    ended = [];
    // Lost ones are not written later: the next is due in 30 s, and a late one would show a dead agent as alive.
    const failed = (error: unknown) =>
      log.warn({ err: String(error), count: beats.size + ends.length }, 'could not write heartbeats');
    if (beats.size > 0) await writeHeartbeats(db, beats).then(tell, failed);
    if (ends.length > 0) await endSessions(db, ends).catch(failed);
  };
  const tell = (agentIds: readonly string[]) => {
    for (const agentId of agentIds) sessions.get(agentId)?.asked();
  };
  const writeNext = () => {
    writing = writing.then(write);
  };
  const timer = setInterval(writeNext, writeEveryMs);
  return {
    beat: (agentId, incarnation, cluster) => add(agentId, { incarnation, cluster, presence: undefined }),
    session(agentId, incarnation, asked) {
      const presence = { id: randomUUID(), since: new Date() };
      const session = { presence, asked };
      sessions.set(agentId, session);
      return {
        beat: (cluster) => add(agentId, { incarnation, cluster, presence }),
        end() {
          ended.push([agentId, presence.id]);
          const beat = pending.get(agentId);
          if (beat?.presence === presence) pending.set(agentId, { ...beat, presence: undefined });
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
