/**
 * Adds `toBase64` and `setFromBase64` (ECMAScript 2026) to byte arrays where Node does not have them yet. Protobuf uses them for JSON if
 * they exist when it is loaded; its own loops take seconds for a manifest of 7 MiB, in which the broker answers nobody. So a program
 * imports this before anything else.
 */

interface Base64Options {
  readonly alphabet?: 'base64' | 'base64url';
  readonly omitPadding?: boolean;
}

/** Encodes bytes as `Uint8Array.prototype.toBase64` does. */
export function toBase64(bytes: Uint8Array, { alphabet = 'base64', omitPadding = false }: Base64Options = {}): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString(alphabet);
  if (alphabet === 'base64') return omitPadding ? text.replace(/=+$/, '') : text;
  return omitPadding ? text : text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/**
 * Decodes into `bytes` as `Uint8Array.prototype.setFromBase64` does. It refuses white space with a SyntaxError, which the standard
 * allows: protobuf then decodes the text by itself.
 */
export function setFromBase64(
  bytes: Uint8Array,
  text: string,
  { alphabet = 'base64' }: Base64Options = {},
): { read: number; written: number } {
  const isValid = alphabet === 'base64' ? /^[A-Za-z0-9+/]*={0,2}$/ : /^[\w-]*={0,2}$/;
  if (text.length % 4 !== 0 || !isValid.test(text)) throw new SyntaxError('The string is not correctly encoded.');
  const written = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).write(text, alphabet);
  return { read: text.length, written };
}

const methods = {
  toBase64(this: Uint8Array, options?: Base64Options) {
    return toBase64(this, options);
  },
  setFromBase64(this: Uint8Array, text: string, options?: Base64Options) {
    return setFromBase64(this, text, options);
  },
};
for (const [name, value] of Object.entries(methods))
  if (!(name in Uint8Array.prototype))
    Object.defineProperty(Uint8Array.prototype, name, { value, configurable: true, writable: true });
