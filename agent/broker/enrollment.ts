import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { type Enrollment, isEnrollmentToken } from '../config.ts';
import { hasStatus } from '../kube/api-error.ts';
import type { Cluster } from '../kube/cluster.ts';
import { type KubeObject, type ObjectId, textAt } from '../object/kube-object.ts';

export interface EnrollmentDeps {
  readonly cluster: Cluster;
  readonly namespace: string;
  readonly enrollment: Enrollment;
  /** Asks the broker for the agent's key, with a token. */
  readonly enroll: (token: string, nonce: Uint8Array, signal: AbortSignal) => Promise<string>;
}

/** What the Secret holds. */
interface Kept {
  /** The agent's key. */
  readonly pak?: string | undefined;
  /** What an agent presents that has not got its key yet, in base64. */
  readonly nonce?: string | undefined;
  /** Public part of the token that they came from; none when somebody else has put the key there. */
  readonly enrollment?: string | undefined;
}

/**
 * The key of an agent that enrolls. It is kept in a Secret; without one there, the agent enrolls. What it presents is written there
 * before it asks, so that an agent which dies before it has kept its key, or whose answer was lost, gets another one with the same
 * token. A token other than the one that the kept key came from enrolls anew. Throws what the cluster or the broker refuse.
 */
export async function obtainKey(deps: EnrollmentDeps, signal: AbortSignal): Promise<string> {
  const { cluster, namespace, enrollment, enroll } = deps;
  const id: ObjectId = { apiVersion: 'v1', kind: 'Secret', namespace, name: enrollment.secret };
  let live = await cluster.get(id, signal);
  const kept = keptIn(live);
  const token = tokenOf(enrollment);
  const origin = token === undefined ? undefined : publicPart(token);
  const isOfToken = kept.enrollment === origin;
  if (kept.pak !== undefined && (isOfToken || kept.enrollment === undefined || origin === undefined)) return kept.pak;
  if (token === undefined)
    throw new Error(`Secret ${namespace}/${enrollment.secret} holds no key, and there is no token to enroll with`);
  let { nonce } = isOfToken ? kept : {};
  if (nonce === undefined) {
    nonce = randomBytes(32).toString('base64');
    live = await keep(cluster, id, live, { nonce, enrollment: origin }, signal);
  }
  for (;;) {
    const pak = await enroll(token, Buffer.from(nonce, 'base64'), signal);
    try {
      await keep(cluster, id, live, { pak, enrollment: origin }, signal);
      return pak;
    } catch (error) {
      // Another agent of this cluster has enrolled meanwhile, and one of the two keys has ended: the next one counts.
      if (!hasStatus(error, 409)) throw error;
      live = await cluster.get(id, signal);
    }
  }
}

/** Makes the Secret, or replaces what it holds; refused with 409 when somebody else has changed it since. */
async function keep(
  cluster: Cluster,
  { apiVersion, kind, namespace, name }: ObjectId,
  live: KubeObject | undefined,
  kept: Kept,
  signal: AbortSignal,
): Promise<KubeObject> {
  const data = Object.fromEntries(
    Object.entries(kept).map(([field, text]) => [field, Buffer.from(text ?? '').toString('base64')]),
  );
  return live
    ? cluster.replace({ ...live, data }, signal)
    : cluster.create({ apiVersion, kind, metadata: { name, namespace }, type: 'Opaque', data }, signal);
}

function keptIn(live: KubeObject | undefined): Kept {
  const read = (field: keyof Kept) => Buffer.from(textAt(live, 'data', field) ?? '', 'base64').toString() || undefined;
  return { pak: read('pak'), nonce: read('nonce'), enrollment: read('enrollment') };
}

/** A file that is not there is no token: it may be taken away once the agent has its key. */
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

/** The part of a token that is no secret, and names it. */
function publicPart(token: string): string {
  return token.split('_')[1] ?? '';
}
