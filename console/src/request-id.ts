/** Creates a request id, which makes a retried call idempotent. Browsers have no `randomUUID` without TLS. */
export function newRequestId(): string {
  return `console-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
