import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';
import { type Enrollment, isEnrollmentToken } from './enrollment-token.ts';

export interface EnrollmentDeps {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly enrollment: Enrollment;
  /** Asks the broker for the agent's key, with a token. */
  readonly enroll: (token: string, nonce: Uint8Array, signal: AbortSignal) => Promise<string>;
}

/** The content of the Secret. */
interface StoredKey {
  /** The agent's key. */
  readonly pak?: string | undefined;
  /** Random bytes in base64 that identify this enrollment, so that it can be repeated. */
  readonly nonce?: string | undefined;
  /** Public part of the token that the rest came from; undefined when somebody else stored the key. */
  readonly enrollment?: string | undefined;
}

/**
 * Returns the agent's key from a Secret, and enrolls when the Secret has none. The nonce is stored before the broker is asked, so that an
 * agent which dies before it has stored its key, or whose answer is lost, gets another key with the same token. With another token than
 * the one that the stored key came from, the agent enrolls again. Rejects with the error of the cluster or the broker.
 */
export async function obtainKey(deps: EnrollmentDeps, signal: AbortSignal): Promise<string> {
  const { cluster, namespace, enrollment, enroll } = deps;
  const id: ObjectId = { apiVersion: 'v1', kind: 'Secret', namespace, name: enrollment.secret };
  let live = await cluster.get(id, signal);
  const stored = readKey(live);
  const token = tokenOf(enrollment);
  const origin = token === undefined ? undefined : publicPart(token);
  const isOfToken = stored.enrollment === origin;
  if (stored.pak !== undefined && (isOfToken || stored.enrollment === undefined || origin === undefined))
    return stored.pak;
  if (token === undefined)
    throw new Error(`Secret ${namespace}/${enrollment.secret} holds no key, and there is no token to enroll with`);
  let { nonce } = isOfToken ? stored : {};
  if (nonce === undefined) {
    nonce = randomBytes(32).toString('base64');
    live = await storeKey(cluster, id, live, { nonce, enrollment: origin }, signal);
  }
  for (;;) {
    const pak = await enroll(token, Buffer.from(nonce, 'base64'), signal);
    try {
      await storeKey(cluster, id, live, { pak, enrollment: origin }, signal);
      return pak;
    } catch (error) {
      // Another agent of this cluster enrolled meanwhile, which ended one of the two keys: enroll again.
      if (!hasStatus(error, 409)) throw error;
      live = await cluster.get(id, signal);
    }
  }
}

/** Creates the Secret or replaces its content; rejects with 409 when somebody else changed it meanwhile. */
async function storeKey(
  cluster: Cluster,
  { apiVersion, kind, namespace, name }: ObjectId,
  live: KubeObject | undefined,
  stored: StoredKey,
  signal: AbortSignal,
): Promise<KubeObject> {
  const data = Object.fromEntries(
    Object.entries(stored).map(([field, text]) => [field, Buffer.from(text ?? '').toString('base64')]),
  );
  return live
    ? cluster.replace({ ...live, data }, signal)
    : cluster.create({ apiVersion, kind, metadata: { name, namespace }, type: 'Opaque', data }, signal);
}

function readKey(live: KubeObject | undefined): StoredKey {
  const read = (field: keyof StoredKey) =>
    Buffer.from(textAt(live, 'data', field) ?? '', 'base64').toString() || undefined;
  return { pak: read('pak'), nonce: read('nonce'), enrollment: read('enrollment') };
}

/** Returns the configured token. A missing file is no error, since it may be deleted once the agent has its key. */
function tokenOf({ token, tokenFile }: Enrollment): string | undefined {
  if (token !== undefined || tokenFile === undefined) return token;
  let text: string;
  try {
    text = readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (isEnrollmentToken(text)) return text;
  throw new Error(`the file ${tokenFile} holds no enrollment token`);
}

/** Returns the part of a token that identifies it and is not secret. */
function publicPart(token: string): string {
  return token.split('_')[1] ?? '';
}
