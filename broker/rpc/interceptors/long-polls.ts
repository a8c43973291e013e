/**
 * Calls that may wait for a change, and for how long by their contract. Their time says nothing about how fast the broker is, and one
 * that ends with its key was not denied.
 */
export const longPolls: ReadonlyMap<string, number> = new Map([
  ['PullTargetState', 300_000],
  ['GetDiagnostic', 50_000],
]);
