import { createHash, randomBytes } from 'node:crypto';
import type { KeyRole } from './rules.ts';

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const shortLength = 8;
/** 62^43 is above 2^256. */
const secretLength = 43;
const checksumLength = 6;
const shape = new RegExp(
  `^brokkr_(ad|ro|ge|ag|en)([0-9A-Za-z]{${shortLength}})_([0-9A-Za-z]{${secretLength}})([0-9A-Za-z]{${checksumLength}})$`,
);

/**
 * Generates a key: `brokkr_<role><short>_<secret><checksum>`. The short token (47 random bits) is public and names the key; the secret
 * has 256 random bits.
 */
export function makePak(role: KeyRole): { readonly text: string; readonly short: string } {
  const short = encode(randomBytes(8), shortLength);
  const body = `brokkr_${role}${short}_${encode(randomBytes(32), secretLength)}`;
  return { text: body + checksumOf(body), short };
}

/** Parses a key's public part. Undefined for a text that is no key or was mistyped: neither is worth a query. */
export function parsePak(text: string): { readonly role: KeyRole; readonly short: string } | undefined {
  const match = shape.exec(text);
  if (!match) return undefined;
  const body = text.slice(0, -checksumLength);
  return checksumOf(body) === match[4] ? { role: match[1] as KeyRole, short: match[2] as string } : undefined;
}

const pakPattern = /brokkr_(ad|ro|ge|ag|en)[0-9A-Za-z]{4,}_[0-9A-Za-z]{16,}/g;

/** Answers whether a text contains something that looks like a key. */
export function hasKey(text: string): boolean {
  return text.search(pakPattern) >= 0;
}

/** Replaces everything in a text that looks like a key. Use it on every text from a caller that is repeated in an answer or a log. */
export function withoutKeys(text: string): string {
  return text.replace(pakPattern, '<a key>');
}

/** Computes a checksum that catches typing errors. It is no protection against forgery: anybody can compute it. */
function checksumOf(body: string): string {
  return encode(createHash('sha256').update(body).digest().subarray(0, 8), checksumLength);
}

/** Encodes bytes as a number in base 62: its lowest `length` digits. */
function encode(bytes: Uint8Array, length: number): string {
  let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
  let text = '';
  for (let digit = 0; digit < length; digit += 1) {
    text = alphabet[Number(value % 62n)] + text;
    value /= 62n;
  }
  return text;
}
