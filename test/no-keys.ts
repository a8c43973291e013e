import * as assert from 'uvu/assert';
import { hasKey, withoutKeys } from '../broker/access/pak.ts';

/** Asserts that these lines, such as a broker's log, contain nothing that looks like a key. */
export function assertNoKeys(lines: readonly string[]): void {
  assert.equal(lines.filter(hasKey).map(withoutKeys), []);
}
