import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** Encrypted bytes, as the database stores them. */
export interface Sealed {
  /** Identifies the key: the first 16 hex digits of its SHA-256; empty for bytes that are not encrypted. */
  readonly keyId: string;
  readonly data: Buffer;
}

export interface Cipher {
  /** Id of the key that encrypts; empty when nothing is encrypted. */
  readonly keyId: string;
  /** Ids of all keys that decrypt. */
  readonly keyIds: readonly string[];
  /** Encrypts, bound to `name`: the result cannot be opened under another name. */
  seal(name: Uint8Array, data: Uint8Array): Sealed;
  /** Decrypts. Throws when the key is not configured, or when data or name are not those that were sealed. */
  open(name: Uint8Array, sealed: Sealed): Buffer;
}

const algorithm = 'aes-256-gcm';
const ivBytes = 12;
const tagBytes = 16;

/** Creates a cipher: AES-256-GCM with a random 96-bit IV (NIST SP 800-38D). The first key encrypts, all decrypt. Without keys bytes stay plain. */
export function createCipher(keys: readonly Buffer[]): Cipher {
  const byId = new Map(keys.map((key) => [keyIdOf(key), key]));
  const keyId = keys[0] ? keyIdOf(keys[0]) : '';
  return {
    keyId,
    keyIds: [...byId.keys()],
    seal(name, data) {
      const key = byId.get(keyId);
      if (!key) return { keyId: '', data: Buffer.from(data) };
      const iv = randomBytes(ivBytes);
      const cipher = createCipheriv(algorithm, key, iv).setAAD(name);
      return { keyId, data: Buffer.concat([iv, cipher.update(data), cipher.final(), cipher.getAuthTag()]) };
    },
    open(name, sealed) {
      if (sealed.keyId === '') return sealed.data;
      const key = byId.get(sealed.keyId);
      if (!key)
        throw new Error(`data is encrypted with key ${sealed.keyId}, which BROKKR_ENCRYPTION_KEY does not list`);
      const { data } = sealed;
      if (data.length < ivBytes + tagBytes) throw new Error('data is too short to be encrypted');
      // Without an explicit length, Node would accept shorter tags, which are easier to forge.
      const decipher = createDecipheriv(algorithm, key, data.subarray(0, ivBytes), { authTagLength: tagBytes });
      decipher.setAAD(name);
      decipher.setAuthTag(data.subarray(-tagBytes));
      return Buffer.concat([decipher.update(data.subarray(ivBytes, -tagBytes)), decipher.final()]);
    },
  };
}

function keyIdOf(key: Buffer): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 16);
}
