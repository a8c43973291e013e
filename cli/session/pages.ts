/** As many as a list gives at once. */
const pageSize = 500;

interface ListPage {
  readonly nextPageToken: string;
}

/** Reads a list page by page, for what should not be in memory all at once. */
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

/** Reads a list through all its pages, or until there are `limit`. */
export async function allPages<P extends ListPage, M>(
  read: (page: { pageSize: number; pageToken: string }) => Promise<P>,
  items: (page: P) => readonly M[],
  limit = Number.POSITIVE_INFINITY,
): Promise<M[]> {
  const all: M[] = [];
  for (let pageToken = ''; ; ) {
    const page = await read({ pageSize: Math.min(pageSize, limit - all.length), pageToken });
    all.push(...items(page));
    pageToken = page.nextPageToken;
    if (pageToken === '' || all.length >= limit) return all;
  }
}
