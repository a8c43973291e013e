import * as assert from 'uvu/assert';
import { hasKey, withoutKeys } from '../broker/access/pak.ts';

/** Asserts that nothing that looks like a key stands in these lines, such as a broker's log. */
export function assertNoKeys(lines: readonly string[]): void {
  assert.equal(lines.filter(hasKey).map(withoutKeys), []);
}
