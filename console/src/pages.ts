/** All items of a paged list, up to `most`. */
export async function allPages<I>(
  page: (pageToken: string) => Promise<{ items: readonly I[]; nextPageToken: string }>,
  most = 5_000,
): Promise<I[]> {
  const all: I[] = [];
  for (let token = ''; all.length < most; ) {
    const { items, nextPageToken } = await page(token);
    all.push(...items);
    if (nextPageToken === '') break;
    token = nextPageToken;
  }
  return all;
}
