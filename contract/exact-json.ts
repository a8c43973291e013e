/**
 * JSON whose integers stay exact. Kubernetes keeps 64-bit integers; a JavaScript number rounds those beyond 2^53. Such an integer is
 * held as `JSON.rawJSON` makes it, which `JSON.stringify` writes back digit for digit; every other value is a plain one.
 */

/** An integer beyond 2^53, as its digits. */
export interface RawInteger {
  readonly rawJSON: string;
}

interface ExactJson {
  rawJSON(text: string): RawInteger;
  isRawJSON(value: unknown): value is RawInteger;
  parse(
    text: string,
    reviver: (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
}

/** The library's types do not know these parts of the language yet. */
const exact = JSON as unknown as ExactJson;

/** Keeps an integer as the API server does: exactly within int64, and as the nearest float beyond. */
export function exactInteger(value: bigint): number | RawInteger {
  if (BigInt.asIntN(64, value) !== value || Number.isSafeInteger(Number(value))) return Number(value);
  return exact.rawJSON(String(value));
}

/** Answers whether a value is an integer that no JavaScript number can hold. */
export function isRawInteger(value: unknown): value is RawInteger {
  return exact.isRawJSON(value);
}

/** Sixteen digits in a row, the least that can be rounded. */
const longNumber = /\d{16}/;
const integer = /^-?\d+$/;

/** Parses JSON, keeping integers up to int64 exact. Costs no more than `JSON.parse` for a text without long numbers. */
export function parseExact(text: string): unknown {
  if (!longNumber.test(text)) return JSON.parse(text);
  return exact.parse(text, (_key, value, { source }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && source !== undefined && integer.test(source)
      ? exactInteger(BigInt(source))
      : value,
  );
}
