/**
 * Methods that may wait for a change, with the longest wait of their contract in milliseconds. Their duration says nothing about the
 * broker's speed, and one that ends because its key was revoked was not denied.
 */
export const longPolls: ReadonlyMap<string, number> = new Map([
  ['PullTargetState', 300_000],
  ['GetDiagnostic', 50_000],
]);
