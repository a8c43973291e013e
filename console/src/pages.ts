import { type Loaded, useLoad } from './load.ts';

/** Maximum number of items of a list that people read. Fleets are read through streams instead. */
const maxItems = 5_000;
const pageSize = 500;

export interface Page<I> {
  readonly items: readonly I[];
  readonly nextPageToken: string;
}

/** Fetches one page of a list. */
export type FetchPage<I> = (
  request: { readonly pageSize: number; readonly pageToken: string },
  options: { readonly signal: AbortSignal },
) => Promise<Page<I>>;

/** Loads all items of a paged list, up to 5,000, as `useLoad` does. */
export function useAllPages<I>(key: string, fetchPage: FetchPage<I>): Loaded<I[]> {
  return useLoad(key, (signal) => fetchAllPages(fetchPage, signal));
}

/** Fetches page after page, up to 5,000 items. */
export async function fetchAllPages<I>(fetchPage: FetchPage<I>, signal: AbortSignal): Promise<I[]> {
  const all: I[] = [];
  for (let pageToken = ''; all.length < maxItems; ) {
    const { items, nextPageToken } = await fetchPage({ pageSize, pageToken }, { signal });
    all.push(...items);
    if (nextPageToken === '') break;
    pageToken = nextPageToken;
  }
  return all;
}
