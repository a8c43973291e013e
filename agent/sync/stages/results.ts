import { andMore, displayName } from '../../object/kube-object.ts';
import { type Change, eventOf, type Outcome } from '../../target/stack-event.ts';
import type { Entry } from '../../target/target-state.ts';
import type { Pass, PassResult } from '../context.ts';
import type { HeldDeletions } from '../deletion-protection.ts';

/** The message of a pass that deletes nothing, because another stack may desire what this one no longer lists. */
export const manifestsMissing = 'other manifests have to be received before anything is deleted';

/** Ends a pass that has to be tried again. */
export function unsettled(
  { entry }: Pick<Pass, 'entry'>,
  outcome: Outcome,
  message: string,
  changes: readonly Change[],
): PassResult {
  return { kind: 'unsettled', event: eventOf(entry, outcome, message, changes), waiting: false };
}

/** Ends a pass that has to be tried again once something has come or gone that does so by itself; `done` is what was changed. */
export function awaiting({ entry }: Pick<Pass, 'entry'>, message: string, done: readonly Change[] = []): PassResult {
  return { kind: 'unsettled', event: eventOf(entry, 'waiting', message, done), waiting: true };
}

/** Ends a pass over an active stack in which these objects failed; `done` is what was changed all the same. */
export function failed(
  pass: Pick<Pass, 'entry'>,
  message: string,
  failures: readonly Change[],
  done: readonly Change[] = [],
): PassResult {
  return unsettled(pass, 'failed', summary(message, failures), [...failures, ...done]);
}

/** Ends a pass whose remaining work waits for the health of other objects; `done` is what was changed before. */
export function waiting({ entry }: Pick<Pass, 'entry'>, message: string, done: readonly Change[] = []): PassResult {
  return { kind: 'waiting', event: eventOf(entry, 'waiting', message, done) };
}

/** Ends a pass whose deletions wait for a confirmation. */
export function holdBack(entry: Entry, message: string, { changes, keys }: HeldDeletions): PassResult {
  return { kind: 'unsettled', event: eventOf(entry, 'held', message, changes, keys), waiting: false };
}

/** Returns one sentence for a list of failures, which quotes the first of them. */
export function summary(message: string, failures: readonly Change[]): string {
  const [first] = failures;
  if (!first) return message;
  return `${message}: ${displayName(first.object)}: ${first.message}${andMore(failures)}`;
}
