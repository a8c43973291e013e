import { type Loaded, useLoad } from './load.ts';

/** Enough for what people read; streams, not lists, tell of fleets. */
const mostItems = 5_000;
const pageSize = 500;

export interface Page<I> {
  readonly items: readonly I[];
  readonly nextPageToken: string;
}

/** Answers one page: what is asked for in it, and with what. */
export type AskPage<I> = (
  request: { readonly pageSize: number; readonly pageToken: string },
  options: { readonly signal: AbortSignal },
) => Promise<Page<I>>;

/** All items of a paged list, up to 5,000, as `useLoad` has them. */
export function useAll<I>(key: string, ask: AskPage<I>): Loaded<I[]> {
  return useLoad(key, (signal) => allOf(ask, signal));
}

/** Asks for page after page, up to 5,000 items. */
export async function allOf<I>(ask: AskPage<I>, signal: AbortSignal): Promise<I[]> {
  const all: I[] = [];
  for (let pageToken = ''; all.length < mostItems; ) {
    const { items, nextPageToken } = await ask({ pageSize, pageToken }, { signal });
    all.push(...items);
    if (nextPageToken === '') break;
    pageToken = nextPageToken;
  }
  return all;
}
