import { healthOf } from '../health/evaluate.ts';
import { type Verdict, worstOf } from '../health/status.ts';
import type { Definition } from '../manifest/parse.ts';
import type { Wave } from '../manifest/waves.ts';
import { andMore, type KubeObject, keyOf, nameOf, type ObjectId } from '../object/kube-object.ts';
import type { Change } from '../target/stack-event.ts';
import { applyObjects, dependsOn, dryRun, isPrerequisite, waitUntilReady } from './apply.ts';
import type { Pass, SyncContext } from './context.ts';
import type { Desired } from './plan.ts';

export interface Rollout {
  readonly waves: readonly Wave<Desired>[];
  readonly writes: readonly Desired[];
  /** Custom kinds that the manifest defines itself. */
  readonly definitions: readonly Definition[];
  readonly live: ReadonlyMap<string, KubeObject>;
  /** Whether a wave waits for those before it; what only puts things right does not. */
  readonly gated: boolean;
}

/** How far it came, and what became of what was written. */
export interface RolledOut {
  /** Empty when all is written. */
  readonly failed: readonly Change[];
  /** With failures: in a few words, what was done all the same. */
  readonly summary: string;
  /** A wave is not healthy yet, so that the next one has to wait. */
  readonly waiting?: string;
  readonly changes: readonly Change[];
  /** Objects that no dry run could check. */
  readonly unchecked: number;
}

/**
 * Writes wave by wave: each only when all objects of those before it are healthy, and no further than one in which something failed.
 * `uids` gets the uid of each object that is written, by key. Throws Superseded when the pass is to end, with some of them there.
 */
export async function rollOut(
  context: SyncContext,
  pass: Pass,
  rollout: Rollout,
  uids: Map<string, string>,
): Promise<RolledOut> {
  const { waves, writes, live } = rollout;
  const written = new Set(writes);
  const last = waves.findLastIndex(({ groups }) => groups.some((group) => group.some((one) => written.has(one))));
  const changes: Change[] = [];
  let unchecked = 0;
  for (const [index, wave] of waves.entries()) {
    if (index > last) break;
    const applied = new Map<string, Verdict>();
    const seen = ({ id }: Desired, object: KubeObject) => {
      applied.set(keyOf(id), healthOf(object));
      uids.set(keyOf(id), object.metadata.uid ?? '');
    };
    const done = await writeWave(context, pass, rollout, wave, written, seen);
    changes.push(...done.changes);
    unchecked += done.unchecked;
    if (done.failed.length > 0) {
      const more = index < last ? `; waves after ${wave.number} were not begun` : '';
      return { ...done, summary: done.summary + more, changes, unchecked };
    }
    if (index === last || !rollout.gated) continue;
    const blocked = waveBlocker(wave, waves[index + 1], (key) => applied.get(key) ?? verdictOf(live.get(key)));
    if (blocked) return { ...blocked, changes, unchecked };
  }
  return { failed: [], summary: '', changes, unchecked };
}

/** What keeps the first wave that has something to write waiting, before anything is done; undefined when it may begin. */
export function rolloutBlocker({
  waves,
  writes,
  live,
  gated,
}: Rollout): Pick<RolledOut, 'failed' | 'summary' | 'waiting'> | undefined {
  if (!gated) return undefined;
  const written = new Set(writes);
  for (const [index, wave] of waves.entries()) {
    if (wave.groups.some((group) => group.some((one) => written.has(one)))) return undefined;
    const blocked = waveBlocker(wave, waves[index + 1], (key) => verdictOf(live.get(key)));
    if (blocked && waves.slice(index + 1).some(({ groups }) => groups.flat().some((one) => written.has(one))))
      return blocked;
  }
  return undefined;
}

async function writeWave(
  { cluster }: SyncContext,
  { signal, checkpoint }: Pass,
  { writes, definitions }: Rollout,
  { groups }: Wave<Desired>,
  written: ReadonlySet<Desired>,
  seen: (wanted: Desired, object: KubeObject) => void,
): Promise<RolledOut> {
  const mine = groups.map((group) => group.filter((one) => written.has(one)));
  const needs = dependsOn(writes.filter(isPrerequisite), definitions);
  const dependent = mine.flat().filter(needs);
  // What others of the same wave need first has to be there, and ready, before those can be tried.
  const staged = new Set(dependent.length > 0 ? mine.flat().filter((one) => isPrerequisite(one) && !needs(one)) : []);
  const first = mine.map((group) => group.filter((one) => staged.has(one)));
  const rest = mine.map((group) => group.filter((one) => !staged.has(one)));
  const prepared = await applyObjects(cluster, first, signal, checkpoint, seen);
  const late = prepared.failed.length > 0 ? prepared.failed : await waitUntilReady(cluster, [...staged], signal);
  const tried =
    late.length > 0 ? { failed: late, unchecked: 0 } : await dryRun(cluster, dependent, signal, { patient: true });
  const applied = tried.failed.length > 0 ? undefined : await applyObjects(cluster, rest, signal, checkpoint, seen);
  return {
    failed: [...tried.failed, ...(applied?.failed ?? [])],
    summary: applied ? 'some objects were not applied' : 'only definitions and namespaces were applied',
    changes: [...prepared.changes, ...(applied?.changes ?? [])],
    unchecked: tried.unchecked,
  };
}

function waveBlocker(
  wave: Wave<Desired>,
  next: Wave<Desired> | undefined,
  verdict: (key: string) => Verdict,
): Pick<RolledOut, 'failed' | 'summary' | 'waiting'> | undefined {
  const ids: ObjectId[] = wave.groups.flatMap((group) => group.map(({ id }) => id));
  const ill = ids.flatMap((id) => {
    const found = verdict(keyOf(id));
    return found.health === 'healthy' ? [] : [{ id, ...found }];
  });
  const [first] = ill.filter(({ health }) => health === worstOf(ill));
  if (!first) return undefined;
  const what = `wave ${next?.number ?? ''} waits for wave ${wave.number}`;
  const ended = ill.filter(({ health }) => health === 'failed');
  if (ended.length > 0) {
    const failed = ended.map(({ id, message }): Change => ({ object: id, action: 'failed', message }));
    return { failed, summary: `${what}, of which some objects have failed` };
  }
  return {
    failed: [],
    summary: '',
    waiting: `${what}: ${nameOf(first.id)} is ${first.health}: ${first.message}${andMore(ill)}`,
  };
}

function verdictOf(live: KubeObject | undefined): Verdict {
  return live ? healthOf(live) : { health: 'progressing', message: 'it is not there yet' };
}
