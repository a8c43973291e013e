import { type KubeObject, listAt, textAt } from '../object/kube-object.ts';

/** Conditions in which a namespace or a definition says what keeps it from going. */
const contentConditions: ReadonlySet<string> = new Set([
  'NamespaceContentRemaining',
  'NamespaceFinalizersRemaining',
  'NamespaceDeletionDiscoveryFailure',
  'NamespaceDeletionContentFailure',
  'NamespaceDeletionGroupVersionParsingFailure',
]);

/** Says what an object that is being deleted still waits for: finalizers, or what is in it; empty when nothing is known. */
export function awaitedBy(object: KubeObject): string {
  const finalizers = object.metadata.finalizers ?? [];
  const content = listAt(object, 'status', 'conditions').flatMap((condition) =>
    contentConditions.has(textAt(condition, 'type') ?? '') && textAt(condition, 'status') === 'True'
      ? [textAt(condition, 'message') ?? '']
      : [],
  );
  const named =
    finalizers.length === 0 ? '' : `its finalizer${finalizers.length > 1 ? 's' : ''} ${finalizers.join(', ')}`;
  return [named, ...content].filter((text) => text !== '').join('; ');
}

/** Says that an object is being deleted, and what it waits for. */
export function describeTerminatingObject(object: KubeObject): string {
  const awaited = awaitedBy(object);
  return awaited === '' ? 'it is being deleted' : `it is being deleted; waits for ${awaited}`;
}
