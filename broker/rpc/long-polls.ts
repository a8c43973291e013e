/**
 * Calls that may wait for a change, and for how long by their contract. They hold up nobody: they take no turn among other calls, and
 * their time says nothing about how fast the broker is.
 */
export const longPolls: ReadonlyMap<string, number> = new Map([
  ['PullTargetState', 300_000],
  ['GetDiagnostic', 50_000],
]);
