import { checksumAnnotation, isRecord, type KubeObject } from './kube-object.ts';

/** Metadata that the API server maintains, and that changes without the object's content. */
const bookkeeping: ReadonlySet<string> = new Set(['managedFields', 'resourceVersion', 'generation']);

/**
 * Returns whether the live object already has everything that the desired one has. True is certain. False may also mean that the
 * API server normalised a value, such as "1000m" to "1": only a dry run can tell the two apart.
 */
export function matchesDesired(desired: KubeObject, live: KubeObject): boolean {
  return isWithin(desired, live);
}

/** Returns whether an apply with this result, as a dry run returned it, would leave the live object as it is. */
export function isSameObject(live: KubeObject, applied: KubeObject): boolean {
  const content = ({ metadata, ...rest }: KubeObject) => ({
    ...rest,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !bookkeeping.has(name))),
  });
  return isWithin(content(live), content(applied)) && isWithin(content(applied), content(live));
}

/** Returns the checksum of what the live object was applied from. */
export function checksumOf(live: KubeObject): string | undefined {
  return live.metadata.annotations?.[checksumAnnotation];
}

/** Returns whether every field of `part` has the same value in `whole`. */
function isWithin(part: unknown, whole: unknown): boolean {
  if (Array.isArray(part)) {
    return (
      Array.isArray(whole) && part.length === whole.length && part.every((item, index) => isWithin(item, whole[index]))
    );
  }
  if (!isRecord(part)) return part === whole;
  return (
    isRecord(whole) && Object.keys(part).every((name) => part[name] === undefined || isWithin(part[name], whole[name]))
  );
}
