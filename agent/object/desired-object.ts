import type { KubeObject, ObjectId } from './kube-object.ts';

/** An object as its stack desires it: with its namespace filled in, and the stack's label and checksum set. */
export interface DesiredObject {
  readonly id: ObjectId;
  readonly object: KubeObject;
  /** Checksum of the object's line in the manifest. */
  readonly checksum: string;
}

/** Objects as the API server has them, by `keyOf`. */
export type LiveObjects = ReadonlyMap<string, KubeObject>;
