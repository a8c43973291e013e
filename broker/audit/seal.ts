import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Database, Sql } from '../store/database.ts';
import { genesis, hashEntry, hashSeal, type SealedText } from './rules.ts';
import * as store from './store.ts';

const sealEveryMs = 1_000;
const entriesInSeal = 2_000;
const sealsInRead = 100;
const minuteMs = 60_000;

/**
 * Seals, once a second on one of the brokers, what was committed since: writers never wait for it. The end of the chain goes to the
 * log every minute, so that a chain which is forged as a whole does not match what was told before.
 */
export function startSealer(
  db: Database,
  log: Logger,
  { tellEveryMs = minuteMs }: { tellEveryMs?: number } = {},
): { close(): Promise<void> } {
  const closing = new AbortController();
  const run = async () => {
    let toldAt = Date.now();
    let told = '';
    while (!closing.signal.aborted) {
      await sleep(sealEveryMs, undefined, { signal: closing.signal }).catch(() => {});
      await sealAll(db).catch((error: unknown) => log.warn({ err: String(error) }, 'the record could not be sealed'));
      if (Date.now() - toldAt < tellEveryMs) continue;
      toldAt = Date.now();
      const head = await store.chainHead(db).catch(() => undefined);
      if (!head || head.sequence === told) continue;
      told = head.sequence;
      log.info({ seal: head.sequence, hash: head.hash.toString('hex') }, 'the record is sealed');
    }
  };
  const running = run();
  return {
    async close() {
      closing.abort();
      await running;
    },
  };
}

/** Seals everything that is committed and has no seal. Returns how many entries. */
export async function sealAll(db: Database): Promise<number> {
  let sealed = 0;
  for (let count = entriesInSeal; count === entriesInSeal; sealed += count) count = await sealSome(db);
  return sealed;
}

async function sealSome(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    if (!(await store.lockSealer(tx))) return 0;
    const taken = await store.takeUnsealed(tx, entriesInSeal);
    if (!taken) return 0;
    const head = await store.chainHead(tx);
    // An entry that was taken away before it was sealed is missed for good: its place in the seal stays.
    const hashes = taken.entries.map(({ columns }) => (columns ? hashEntry(columns) : genesis));
    await store.insertSeal(tx, {
      sequence: BigInt(head?.sequence ?? 0) + 1n,
      day: taken.day,
      ids: taken.entries.map(({ id }) => id),
      rowHashes: Buffer.concat(hashes),
      hash: hashSeal(head?.hash ?? genesis, hashes),
    });
    return taken.entries.length;
  });
}

/** How far a chain was checked, and what was found to be right. */
export interface Checked {
  readonly seal: bigint;
  readonly head: Buffer;
  readonly entries: bigint;
  readonly seals: bigint;
}

export interface Verdict extends Checked {
  readonly problem: string;
  readonly brokenEntry: bigint;
  readonly brokenSeal: bigint;
  /** There is more to check. */
  readonly more: boolean;
}

const hashBytes = 32;
/** A call has a deadline; the next one goes on. */
const checkForMs = 20_000;

/**
 * Computes the chain again, from its beginning or from where it was checked before, a hundred seals at a time. Stops at the first
 * thing that does not fit, and after `forMs`.
 */
export async function verifyChain(
  db: Sql,
  signal: AbortSignal,
  { from, forMs = checkForMs }: { from?: Checked | undefined; forMs?: number } = {},
): Promise<Verdict> {
  for (;;) {
    const base = await store.chainBase(db);
    const verdict = await verifyFrom(db, startOf(base, from), signal, Date.now() + forMs);
    // Retention may have dropped days meanwhile: what is gone with them is not missing.
    if (verdict.problem === '' || (await store.chainBase(db))?.sequence === base?.sequence) return verdict;
  }
}

function startOf(base: store.ChainEnd | undefined, from: Checked | undefined): Checked {
  const seal = BigInt(base?.sequence ?? 0);
  if (from && from.seal >= seal) return from;
  return { entries: 0n, seals: 0n, ...from, seal, head: base?.hash ?? genesis };
}

async function verifyFrom(db: Sql, from: Checked, signal: AbortSignal, until: number): Promise<Verdict> {
  let { seal: sequence, head, entries, seals } = from;
  const verdict = (problem: string, broken: { entry?: string; seal?: bigint } = {}, more = false): Verdict => ({
    problem,
    brokenEntry: BigInt(broken.entry ?? 0),
    brokenSeal: broken.seal ?? 0n,
    seal: sequence,
    entries,
    seals,
    head,
    more,
  });
  for (;;) {
    signal.throwIfAborted();
    const some = await store.readSeals(db, String(sequence), sealsInRead);
    if (some.length === 0) return verdict('');
    const found = await readEntries(db, some);
    for (const seal of some) {
      sequence += 1n;
      if (BigInt(seal.sequence) !== sequence) return verdict(`seal ${sequence} is missing`, { seal: sequence });
      const hashes: Buffer[] = [];
      for (const [at, id] of seal.ids.entries()) {
        const columns = found.get(id);
        if (!columns) {
          const moved = await store.entryExists(db, id);
          return verdict(`entry ${id} ${moved ? 'was changed' : 'is missing'}`, { entry: id, seal: sequence });
        }
        const expected = seal.row_hashes.subarray(at * hashBytes, (at + 1) * hashBytes);
        const hash = hashEntry(columns);
        if (!hash.equals(expected)) return verdict(`entry ${id} was changed`, { entry: id, seal: sequence });
        hashes.push(hash);
        entries += 1n;
      }
      if (!hashSeal(head, hashes).equals(seal.hash))
        return verdict(`seal ${sequence} does not follow the one before`, { seal: sequence });
      head = seal.hash;
      seals += 1n;
    }
    if (Date.now() >= until) return verdict('', {}, true);
  }
}

/** The entries that seals close, by id. */
async function readEntries(db: Sql, seals: readonly store.SealRow[]): Promise<Map<string, SealedText>> {
  const found = new Map<string, SealedText>();
  for (const [day, ofDay] of Map.groupBy(seals, (seal) => seal.day)) {
    const ids = ofDay.flatMap((seal) => seal.ids);
    for (const [id, columns] of await store.readSealed(db, day, ids)) found.set(id, columns);
  }
  return found;
}
