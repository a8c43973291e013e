/** An id for a call that must be done once, however often it is sent. Without TLS a browser has no `randomUUID`. */
export function newRequestId(): string {
  return `console-${[...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}
