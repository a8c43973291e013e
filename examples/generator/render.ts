/** The input of a release. */
export interface Release {
  readonly commit: string;
  readonly pages: readonly string[];
}

/** Renders a release as JSON documents of Kubernetes objects. The same release always gives the same bytes. */
export function render({ commit, pages }: Release): Uint8Array {
  const labels = { 'app.kubernetes.io/name': 'shop' };
  const settings = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'shop-release', labels },
    data: { commit, pages: pages.join(',') },
  };
  const pageObjects = pages.map((page) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: `shop-page-${page}`, labels },
    data: { 'index.html': `<h1>${page}</h1><p>made from ${commit}</p>` },
  }));
  return Buffer.from([settings, ...pageObjects].map((object) => JSON.stringify(object)).join('\n---\n'));
}
