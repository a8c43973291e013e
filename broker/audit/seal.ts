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
 * Seals what was committed, once a second on one of the brokers; writers never wait for it. The head of the chain is logged every
 * minute, so that a chain which was forged as a whole contradicts earlier logs.
 */
export function startSealer(
  db: Database,
  log: Logger,
  { logEveryMs = minuteMs }: { logEveryMs?: number } = {},
): { close(): Promise<void> } {
  const closing = new AbortController();
  const run = async () => {
    let loggedAt = Date.now();
    let loggedSequence = '';
    while (!closing.signal.aborted) {
      await sleep(sealEveryMs, undefined, { signal: closing.signal }).catch(() => {});
      await sealAll(db).catch((error: unknown) => log.warn({ err: String(error) }, 'the record could not be sealed'));
      if (Date.now() - loggedAt < logEveryMs) continue;
      loggedAt = Date.now();
      const head = await store.chainHead(db).catch(() => undefined);
      if (!head || head.sequence === loggedSequence) continue;
      loggedSequence = head.sequence;
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

/** Seals all entries that are committed and have no seal. Returns how many. */
export async function sealAll(db: Database): Promise<number> {
  let sealed = 0;
  for (let count = entriesInSeal; count === entriesInSeal; sealed += count) count = await sealBatch(db);
  return sealed;
}

async function sealBatch(db: Database): Promise<number> {
  return db.transact(async (tx) => {
    if (!(await store.lockSealer(tx))) return 0;
    const batch = await store.takeUnsealed(tx, entriesInSeal);
    if (!batch) return 0;
    const head = await store.chainHead(tx);
    // An entry that was removed before it was sealed keeps its place in the seal, so that it is missed for ever.
    const hashes = batch.entries.map(({ columns }) => (columns ? hashEntry(columns) : genesis));
    await store.insertSeal(tx, {
      sequence: BigInt(head?.sequence ?? 0) + 1n,
      day: batch.day,
      ids: batch.entries.map(({ id }) => id),
      rowHashes: Buffer.concat(hashes),
      hash: hashSeal(head?.hash ?? genesis, hashes),
    });
    return batch.entries.length;
  });
}

/** The position up to which a chain was verified. */
export interface ChainPosition {
  readonly seal: bigint;
  readonly head: Buffer;
  readonly entries: bigint;
  readonly seals: bigint;
}

export interface Verdict extends ChainPosition {
  /** Empty while the chain is intact. */
  readonly problem: string;
  readonly brokenEntry: bigint;
  readonly brokenSeal: bigint;
  /** The time was up before the chain's end. */
  readonly more: boolean;
}

const hashBytes = 32;
/** Time for which one call verifies, within its deadline; the next call continues. */
const verifyForMs = 20_000;

/**
 * Computes the chain again, from its beginning or from a position that was verified before, a hundred seals at a time. Stops at the
 * first mismatch, and after `forMs`.
 */
export async function verifyChain(
  db: Sql,
  signal: AbortSignal,
  { from, forMs = verifyForMs }: { from?: ChainPosition | undefined; forMs?: number } = {},
): Promise<Verdict> {
  for (;;) {
    const base = await store.chainBase(db);
    const verdict = await verifyFrom(db, startOf(base, from), signal, Date.now() + forMs);
    // Retention may have dropped days meanwhile; their entries are not missing.
    if (verdict.problem === '' || (await store.chainBase(db))?.sequence === base?.sequence) return verdict;
  }
}

function startOf(base: store.ChainEnd | undefined, from: ChainPosition | undefined): ChainPosition {
  const seal = BigInt(base?.sequence ?? 0);
  if (from && from.seal >= seal) return from;
  return { entries: 0n, seals: 0n, ...from, seal, head: base?.hash ?? genesis };
}

async function verifyFrom(db: Sql, from: ChainPosition, signal: AbortSignal, until: number): Promise<Verdict> {
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
    const batch = await store.readSeals(db, String(sequence), sealsInRead);
    if (batch.length === 0) return verdict('');
    const entriesById = await readEntries(db, batch);
    for (const seal of batch) {
      sequence += 1n;
      if (BigInt(seal.sequence) !== sequence) return verdict(`seal ${sequence} is missing`, { seal: sequence });
      const hashes: Buffer[] = [];
      for (const [position, id] of seal.ids.entries()) {
        const columns = entriesById.get(id);
        if (!columns) {
          const exists = await store.entryExists(db, id);
          return verdict(`entry ${id} ${exists ? 'was changed' : 'is missing'}`, { entry: id, seal: sequence });
        }
        const expected = seal.rowHashes.subarray(position * hashBytes, (position + 1) * hashBytes);
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

/** Reads the entries that seals close, by id. */
async function readEntries(db: Sql, seals: readonly store.SealRow[]): Promise<Map<string, SealedText>> {
  const entries = new Map<string, SealedText>();
  for (const [day, sealsOfDay] of Map.groupBy(seals, (seal) => seal.day)) {
    const ids = sealsOfDay.flatMap((seal) => seal.ids);
    for (const [id, columns] of await store.readSealed(db, day, ids)) entries.set(id, columns);
  }
  return entries;
}
