/** One warning of an API server: `299 - "text"`, of which a header may hold several (RFC 9111, section 5.5). */
const warning = /\b299 \S+ "((?:[^"\\]|\\.)*)"/g;

/** Reads the warnings of the API server from the Warning header of a response. */
export function parseWarnings(header: string): string[] {
  return [...header.matchAll(warning)].map(([, text = '']) => text.replace(/\\(.)/g, '$1'));
}
