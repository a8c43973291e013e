import * as assert from 'uvu/assert';
import { pakPattern } from '../broker/access/pak.ts';

/** Asserts that nothing that looks like a key stands in these lines, such as a broker's log. */
export function assertNoKeys(lines: readonly string[]): void {
  const found = lines.filter((line) => line.search(pakPattern) >= 0).map((line) => line.replace(pakPattern, '<a key>'));
  assert.equal(found, []);
}
