import { createHash } from 'node:crypto';
import { Refusal } from '../refusal.ts';

/** Where a list goes on: the sort keys of the last row that was given out. */
export interface Page {
  readonly size: number;
  readonly after: readonly string[] | undefined;
}

const defaultSize = 100;

/**
 * Reads page_size and page_token. \`scope\` is what the list is about (the caller, the method, the filters): a token of another
 * list is refused, so it cannot be carried from one principal to another.
 */
export function readPage(request: { pageSize: number; pageToken: string }, scope: readonly unknown[]): Page {
  const size = request.pageSize || defaultSize;
  if (request.pageToken === '') return { size, after: undefined };
  try {
    const token = JSON.parse(Buffer.from(request.pageToken, 'base64url').toString()) as unknown;
    if (isToken(token) && token.scope === scopeHash(scope)) return { size, after: token.after };
  } catch {
    // refused below, like every other text that is not a token
  }
  throw new Refusal('invalid', 'page_token is not one that this list gave out', { field: 'page_token' });
}

/**
 * Cuts rows that were read with one more than the page's size, and makes the token for the next page (empty on the last one).
 * \`keys\` gives a row's sort keys, in the order of the query's comparison.
 */
export function cutPage<R>(
  rows: readonly R[],
  page: Page,
  scope: readonly unknown[],
  keys: (row: R) => string[],
): { rows: R[]; nextPageToken: string } {
  const cut = rows.slice(0, page.size);
  const last = cut.at(-1);
  if (rows.length <= page.size || last === undefined) return { rows: cut, nextPageToken: '' };
  const token = JSON.stringify({ after: keys(last), scope: scopeHash(scope) });
  return { rows: cut, nextPageToken: Buffer.from(token).toString('base64url') };
}

function scopeHash(scope: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(scope)).digest('base64url').slice(0, 16);
}

function isToken(value: unknown): value is { after: string[]; scope: string } {
  const token = value as { after?: unknown; scope?: unknown } | null;
  return (
    Array.isArray(token?.after) &&
    token.after.every((key) => typeof key === 'string') &&
    typeof token.scope === 'string'
  );
}
