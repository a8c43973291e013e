import { ownerOf, type Principal } from '../access/principal.ts';
import { Refusal } from '../refusal.ts';
import type { Database, Sql, Transaction } from '../store/database.ts';
import { requireAllowed } from './limits.ts';
import type { ComparedManifest, Parser } from './parser.ts';
import { addRevision, authorOf, lockStack } from './revision.ts';
import { findStackManifest, readRevisionState } from './revision-store.ts';
import { compareManifests, type DeploymentRow, type Difference } from './rules.ts';
import * as store from './store.ts';

/** Names of agents that an answer lists; it counts all of them. */
const maxNamedAgents = 1_000;

/** A parsed manifest and the deployment of its stack that it was compared with. */
export interface Submission {
  readonly stackId: string;
  readonly manifest: ComparedManifest;
  /** Checksum of that deployment's manifest; undefined for a stack without one. */
  readonly comparedWith: Buffer | undefined;
  /** The namespace that objects without one were put into; empty for none. */
  readonly namespace: string;
  /** The namespace is that of the current deployment, because the request named none. */
  readonly isNamespaceKept: boolean;
}

/** The outcome of a submission or of its preview. */
export interface SubmitResult {
  /** The stack's current deployment; undefined for the preview of a new one. */
  readonly deployment: DeploymentRow | undefined;
  readonly isUnchanged: boolean;
  readonly changes: readonly Difference[];
  readonly agents: store.ServingAgents;
  /** Sentences about what was left out of the submitted objects. */
  readonly warnings: readonly string[];
  /** The default namespace of the submitted objects; empty for none. */
  readonly namespace: string;
}

/**
 * Parses a manifest and compares it with the stack's current one. The stack is looked up first, so that a caller without access to it
 * costs nothing and learns nothing about its manifest. Without a default namespace in the request, that of the current deployment stays,
 * so that objects move between namespaces only on request. INVALID_ARGUMENT for an empty manifest, unless `allowEmpty` is set.
 */
export async function parseSubmission(
  db: Database,
  parser: Parser,
  principal: Principal,
  request: {
    readonly stack: string;
    readonly manifest: Uint8Array;
    readonly allowEmpty: boolean;
    readonly namespace?: string;
  },
  signal: AbortSignal,
): Promise<Submission> {
  const { stackId, manifest: before } = await findStackManifest(db, ownerOf(principal), request.stack);
  const namespace = request.namespace ?? before?.namespace ?? '';
  const options = { before: before?.data, namespace, caller: principal.ownerId, signal };
  const manifest = await parser.parse(request.manifest, options);
  if (manifest.objects.length === 0 && !request.allowEmpty) {
    throw new Refusal(
      'invalid_argument',
      'manifest: has no objects, which would remove everything; set allow_empty if that is meant',
      { field: 'manifest', reason: 'EMPTY_MANIFEST' },
    );
  }
  const isNamespaceKept = request.namespace === undefined;
  return { stackId, manifest, comparedWith: before?.checksum, namespace, isNamespaceKept };
}

/**
 * Makes a submitted manifest the stack's next revision; an unchanged one adds none. PERMISSION_DENIED for objects that the generator
 * may not deploy, RESOURCE_EXHAUSTED beyond its quota, ABORTED if the default namespace that was to be kept has changed meanwhile.
 */
export async function submit(
  tx: Transaction,
  principal: Principal,
  request: { readonly stack: string; readonly message: string; readonly traceParent: string },
  { stackId, manifest, comparedWith, namespace, isNamespaceKept }: Submission,
): Promise<SubmitResult> {
  await lockStack(tx, principal, stackId, request.stack);
  const state = await readRevisionState(tx, stackId, manifest.checksum, maxNamedAgents);
  const { current, agents } = state;
  if (isNamespaceKept && (current?.namespace ?? '') !== namespace) throw namespaceChanged();
  requireAllowed(state.generator, manifest.objects);
  const common = { agents, warnings: manifest.warnings, namespace };
  if (isSameContent(current, manifest, namespace))
    return { ...common, deployment: current, isUnchanged: true, changes: [] };
  // Somebody may have submitted another manifest before the lock was taken.
  const changes =
    current?.checksum.toString('hex') === comparedWith?.toString('hex')
      ? manifest.changes
      : await compareManifests(
          current ? await store.manifestData(tx, current.checksum) : new Uint8Array(),
          manifest.data,
        );
  const newDeployment = {
    stackId,
    checksum: manifest.checksum,
    size: manifest.data.length,
    objectCount: manifest.objects.length,
    kinds: manifest.kinds,
    namespace,
    message: request.message,
    createdBy: authorOf(principal),
    rollbackOf: null,
    traceParent: request.traceParent,
  };
  const deployment = await addRevision(tx, state, newDeployment, state.isStored ? undefined : manifest.data);
  return { ...common, deployment, isUnchanged: false, changes };
}

/** Returns what a submission would change, without writing anything. PERMISSION_DENIED as for the submission itself. */
export async function preview(db: Sql, { stackId, manifest, namespace }: Submission): Promise<SubmitResult> {
  const { generator, agents, current } = await readRevisionState(db, stackId, manifest.checksum, maxNamedAgents);
  requireAllowed(generator, manifest.objects);
  const common = { agents, warnings: manifest.warnings, namespace };
  return isSameContent(current, manifest, namespace)
    ? { ...common, deployment: current, isUnchanged: true, changes: [] }
    : { ...common, deployment: undefined, isUnchanged: false, changes: manifest.changes };
}

/** Answers whether a deployment has this content: the same objects and the same default namespace. */
function isSameContent(
  deployment: DeploymentRow | undefined,
  { checksum }: ComparedManifest,
  namespace: string,
): boolean {
  return deployment?.namespace === namespace && deployment.checksum.equals(Buffer.from(checksum));
}

function namespaceChanged(): Refusal {
  return new Refusal('aborted', 'namespace: the default namespace of the stack was changed meanwhile: try again', {
    field: 'namespace',
    reason: 'NAMESPACE_CHANGED',
  });
}
