import { createHash } from 'node:crypto';
import { changeText, type FleetRow, type MemberRow } from './rules.ts';

/** A member as it was last read. */
export interface CachedMember {
  readonly row: MemberRow;
  /** Estimated size in an answer. */
  readonly bytes: number;
}

export interface FleetChanges {
  /** Undefined when the counts are unchanged. */
  readonly fleet: FleetRow | undefined;
  readonly members: readonly CachedMember[];
  /** Ids of the agents that were deleted. */
  readonly removedIds: readonly string[];
}

/** The fleet as it was last read, with the number of the reading that changed each part. */
export interface FleetSnapshot {
  /** Number of the last complete reading; 0 before the first. */
  readonly reading: number;
  startReading(): FleetReading;
  /** Returns what has changed since a reading, everything for reading 0; undefined when nothing has. */
  changesSince(reading: number): FleetChanges | undefined;
  /** Forgets the agents that were deleted up to a reading, once all subscribers know of it. */
  forgetRemoved(reading: number): void;
}

/** A reading under way; its changes are not returned before it is complete. */
export interface FleetReading {
  add(row: MemberRow): void;
  complete(fleet: FleetRow): void;
}

interface Member extends CachedMember {
  readonly hash: string;
  readonly reading: number;
}

export function createFleetSnapshot(): FleetSnapshot {
  const members = new Map<string, Member>();
  const removed = new Map<string, number>();
  let fleet: { readonly row: FleetRow; readonly text: string; readonly reading: number } | undefined;
  let reading = 0;
  return {
    get reading() {
      return reading;
    },
    startReading() {
      const current = reading + 1;
      const seenIds = new Set<string>();
      return {
        add(row) {
          seenIds.add(row.id);
          const text = changeText(row);
          const hash = createHash('sha256').update(text).digest('base64');
          if (members.get(row.id)?.hash === hash) return;
          members.set(row.id, { row, hash, bytes: Buffer.byteLength(text), reading: current });
        },
        complete(row) {
          for (const id of members.keys()) {
            if (seenIds.has(id)) continue;
            members.delete(id);
            removed.set(id, current);
          }
          const text = JSON.stringify(row);
          if (fleet?.text !== text) fleet = { row, text, reading: current };
          reading = current;
        },
      };
    },
    changesSince(since) {
      const isNew = (changedIn: number) => changedIn > since && changedIn <= reading;
      const changes: FleetChanges = {
        fleet: fleet && isNew(fleet.reading) ? fleet.row : undefined,
        members: [...members.values()].filter((member) => isNew(member.reading)),
        removedIds: since === 0 ? [] : [...removed].filter(([, removedIn]) => isNew(removedIn)).map(([id]) => id),
      };
      return changes.fleet || changes.members.length > 0 || changes.removedIds.length > 0 ? changes : undefined;
    },
    forgetRemoved(upTo) {
      for (const [id, removedIn] of removed) if (removedIn <= upTo) removed.delete(id);
    },
  };
}
