import { Refusal } from './refusal.ts';

const uuidShape = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Answers whether a text is the id of a row, in the only form in which ids are written. */
export function isId(text: string): boolean {
  return uuidShape.test(text);
}

/** Refuses a name that looks like an id: requests take names and ids in one field. */
export function checkName(name: string): void {
  if (isId(name)) throw new Refusal('invalid_argument', 'name must not look like an id', { field: 'name' });
}

/** Refuses an update or delete whose etag is not the row's version. An empty etag matches any version. */
export function checkEtag(etag: string, version: string): void {
  if (etag === '' || etag === version) return;
  throw new Refusal('aborted', 'the object has changed since it was read (etag mismatch)', {
    field: 'etag',
    reason: 'ETAG_MISMATCH',
  });
}

/** Refuses an update mask with a path that is not one of the known ones. */
export function checkMask(paths: readonly string[], known: readonly string[]): void {
  const unknown = paths.find((path) => !known.includes(path));
  if (unknown === undefined) return;
  throw new Refusal('invalid_argument', `update_mask: "${unknown}" is not one of ${known.join(', ')}`, {
    field: 'update_mask',
  });
}
