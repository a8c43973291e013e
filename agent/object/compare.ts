import { checksumAnnotation, isRecord, type KubeObject } from './kube-object.ts';

/** Bookkeeping of the API server, which changes without the object. */
const bookkeeping: ReadonlySet<string> = new Set(['managedFields', 'resourceVersion', 'generation']);

/**
 * Whether the live object already says everything that the desired one says. True is certain; false may also come from a value that
 * the API server writes in another way, such as "1000m" for "1": then a dry run tells.
 */
export function matchesDesired(desired: KubeObject, live: KubeObject): boolean {
  return isWithin(desired, live);
}

/** Whether an apply, as a dry run answered it, would leave the live object as it is. */
export function isSameObject(live: KubeObject, applied: KubeObject): boolean {
  const content = ({ metadata, ...rest }: KubeObject) => ({
    ...rest,
    metadata: Object.fromEntries(Object.entries(metadata).filter(([name]) => !bookkeeping.has(name))),
  });
  return isWithin(content(live), content(applied)) && isWithin(content(applied), content(live));
}

export function checksumOf(live: KubeObject): string | undefined {
  return live.metadata.annotations?.[checksumAnnotation];
}

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
