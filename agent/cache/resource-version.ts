/** The versions that Kubernetes promises to be comparable; an aggregated API may use others. */
const comparable = /^[1-9][0-9]*$/;

/**
 * Returns whether the first resourceVersion of a kind is older than the second; undefined when that cannot be told, as for a version
 * that is missing or no number.
 */
export function isOlderVersion(version: string | undefined, other: string | undefined): boolean | undefined {
  if (version === undefined || other === undefined) return undefined;
  if (!comparable.test(version) || !comparable.test(other)) return undefined;
  return version.length === other.length ? version < other : version.length < other.length;
}
