/** One step of the path of a field: a field's name, every item of a list, or the items of a list that have a value in a field. */
export type FieldStep =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'all' }
  | { readonly kind: 'items'; readonly field: string; readonly value: string };

const step = String.raw`\.(?:[A-Za-z0-9_-]+|"[^"\s,;|]+")(?:\[(?:\*|[A-Za-z0-9_-]+=[^\][",;|\s]+)\])?`;

/** Pattern of the paths that `parseFieldPath` reads, without anchors. */
export const fieldPathPattern = `(?:${step})+`;

/**
 * Parses the path of a field, such as `.spec.replicas`, `.webhooks[*].clientConfig.caBundle`, `.webhooks[name=a.example.org].rules` or
 * `.metadata.annotations."example.org/note"`. Returns undefined for a text that is none.
 */
export function parseFieldPath(text: string): FieldStep[] | undefined {
  if (!new RegExp(`^${fieldPathPattern}$`).test(text)) return undefined;
  const parts = text.matchAll(/\.(?:"([^"]+)"|([A-Za-z0-9_-]+))|\[(\*)\]|\[([^=]+)=([^\]]+)\]/g);
  return [...parts].map(([, quoted, name, all, field = '', value = '']): FieldStep => {
    if (all !== undefined) return { kind: 'all' };
    const plain = quoted ?? name;
    return plain === undefined ? { kind: 'items', field, value } : { kind: 'name', name: plain };
  });
}
