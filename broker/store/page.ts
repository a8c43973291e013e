import { createHash } from 'node:crypto';
import { Refusal } from '../refusal.ts';

/** A page of a list; `after` has the sort keys of the last row of the page before. */
export interface Page {
  readonly size: number;
  readonly after: readonly string[] | undefined;
}

const defaultSize = 100;
const pageBytes = 2 << 20;

const text = /^[^\0\p{Cs}]{0,400}$/u;
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const number = /^[0-9]{1,18}$/;
/** PostgreSQL accepts no larger one. */
const xid = /^[0-9]{1,19}$/;

/** The sort keys of each list. Callers can forge tokens, and their contents become parameters of a query. */
const sortKeys: Readonly<Record<string, readonly RegExp[]>> = {
  stacks: [text, text, uuid],
  deployments: [uuid],
  agents: [text, uuid],
  'placeable-agents': [text, uuid],
  placements: [uuid, uuid],
  events: [number],
  'kubernetes-events': [xid, number],
  'pod-logs': [xid, number],
  health: [number, text, uuid],
  fleet: [text, uuid],
  generators: [text, uuid],
  registrations: [text, text, uuid, uuid],
  paks: [uuid],
  audit: [number],
  'verify-audit': [number, /^[0-9a-f]{64}$/, number, number],
};

/**
 * Reads page_size and page_token. `scope` is the list's name and what it depends on (the caller, the filters). A token of another scope
 * is refused, so no principal can use the token of another.
 */
export function readPage(request: { pageSize: number; pageToken: string }, scope: readonly unknown[]): Page {
  const size = request.pageSize || defaultSize;
  if (request.pageToken === '') return { size, after: undefined };
  try {
    const token = JSON.parse(Buffer.from(request.pageToken, 'base64url').toString()) as unknown;
    if (isToken(token) && token.scope === scopeHash(scope) && hasSortKeys(scope, token.after))
      return { size, after: token.after };
  } catch {
    // Refused below, like every other text that is not a token.
  }
  throw new Refusal('invalid_argument', 'page_token is not one that this list gave out', { field: 'page_token' });
}

/**
 * Cuts rows, which were read with a limit of one more than the page's size, to the page, and makes the token for the next page (empty
 * on the last one). `keys` returns a row's sort keys in the order of the query's comparison. With `bytesOf`, a page also ends before it
 * exceeds 2 MiB, so that it fits into an answer.
 */
export function cutPage<R>(
  rows: readonly R[],
  page: Page,
  scope: readonly unknown[],
  keys: (row: R) => string[],
  bytesOf: (row: R) => number = () => 0,
): { rows: R[]; nextPageToken: string } {
  let bytes = 0;
  const end = rows.findIndex((row, index) => {
    bytes += bytesOf(row);
    return index >= page.size || (index > 0 && bytes > pageBytes);
  });
  const cut = end < 0 ? [...rows] : rows.slice(0, end);
  const last = cut.at(-1);
  if (end < 0 || last === undefined) return { rows: cut, nextPageToken: '' };
  return { rows: cut, nextPageToken: makePageToken(keys(last), scope) };
}

/** Makes the token with which `readPage` continues after these sort keys. */
export function makePageToken(after: readonly string[], scope: readonly unknown[]): string {
  return Buffer.from(JSON.stringify({ after, scope: scopeHash(scope) })).toString('base64url');
}

function hasSortKeys([list]: readonly unknown[], after: readonly string[]): boolean {
  const keys = sortKeys[String(list)];
  if (!keys) throw new Error(`list "${list}" has no sort keys`);
  return after.length === keys.length && keys.every((shape, index) => shape.test(after[index] ?? ''));
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
