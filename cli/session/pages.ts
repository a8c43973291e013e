/** Maximum page size of the API. */
const pageSize = 500;

interface ListPage {
  readonly nextPageToken: string;
}

/** Yields a list page by page, for lists that must not be held in memory as a whole. */
export async function* eachPage<P extends ListPage>(
  read: (page: { pageSize: number; pageToken: string }) => Promise<P>,
): AsyncGenerator<P> {
  for (let pageToken = ''; ; ) {
    const page = await read({ pageSize, pageToken });
    yield page;
    pageToken = page.nextPageToken;
    if (pageToken === '') return;
  }
}

/** Reads the resources with the given names or, without names, all of them. */
export async function namedOrAll<M>(
  names: readonly string[],
  readOne: (name: string) => Promise<M>,
  readAll: () => Promise<M[]>,
): Promise<M[]> {
  return names.length > 0 ? Promise.all(names.map(readOne)) : readAll();
}

/** Reads all pages of a list, up to `limit` items. */
export async function allPages<P extends ListPage, M>(
  read: (page: { pageSize: number; pageToken: string }) => Promise<P>,
  items: (page: P) => readonly M[],
  limit = Number.POSITIVE_INFINITY,
): Promise<M[]> {
  const collected: M[] = [];
  for (let pageToken = ''; ; ) {
    const page = await read({ pageSize: Math.min(pageSize, limit - collected.length), pageToken });
    collected.push(...items(page));
    pageToken = page.nextPageToken;
    if (pageToken === '' || collected.length >= limit) return collected;
  }
}
