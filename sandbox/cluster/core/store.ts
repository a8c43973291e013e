import { type KubeObject, objectKey } from './object.ts';

export interface StoreEvent {
  readonly revision: number;
  readonly resource: string;
  readonly object: KubeObject;
  /** Undefined when the object is new. */
  readonly previous: KubeObject | undefined;
  readonly deleted: boolean;
}

export interface Store {
  readonly revision: number;
  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined;
  /** Ordered by namespace and name. */
  list(resource: string, namespace?: string): KubeObject[];
  all(): Iterable<readonly [resource: string, object: KubeObject]>;
  /** Stores an object with the next resource version, and notifies the subscribers. */
  put(resource: string, object: KubeObject): KubeObject;
  remove(resource: string, object: KubeObject): KubeObject;
  subscribe(listener: (event: StoreEvent) => void): () => void;
  /** Returns the events of a resource after a revision, or undefined when the history does not reach back that far. */
  since(revision: number, resource: string): StoreEvent[] | undefined;
  /** Restores the contents of a snapshot, without events. */
  restore(revision: number, objects: Iterable<readonly [resource: string, object: KubeObject]>): void;
}

export function createStore(historySize: number): Store {
  const resources = new Map<string, Map<string, KubeObject>>();
  const listeners = new Set<(event: StoreEvent) => void>();
  let history: StoreEvent[] = [];
  let revision = 1;
  let oldestRevision = 0;

  const objectsOf = (resource: string) => {
    let found = resources.get(resource);
    if (!found) {
      found = new Map();
      resources.set(resource, found);
    }
    return found;
  };
  const notify = (event: StoreEvent) => {
    history.push(event);
    if (history.length > historySize * 2) {
      history = history.slice(-historySize);
      oldestRevision = history[0]!.revision - 1;
    }
    for (const listener of [...listeners]) listener(event);
  };
  const withNextVersion = (object: KubeObject): KubeObject => {
    revision += 1;
    const { apiVersion, kind, metadata, ...rest } = object;
    return { apiVersion, kind, metadata: { ...metadata, resourceVersion: String(revision) }, ...rest };
  };

  return {
    get revision() {
      return revision;
    },
    get: (resource, namespace, name) => resources.get(resource)?.get(objectKey(namespace, name)),
    list: (resource, namespace) => {
      const found: [string, KubeObject][] = [];
      for (const entry of resources.get(resource) ?? [])
        if (namespace === undefined || entry[1].metadata.namespace === namespace) found.push(entry);
      return found.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, object]) => object);
    },
    all: function* () {
      for (const [resource, objects] of resources)
        for (const object of objects.values()) yield [resource, object] as const;
    },
    put: (resource, unstamped) => {
      const objects = objectsOf(resource);
      const object = withNextVersion(unstamped);
      const key = objectKey(object.metadata.namespace, object.metadata.name);
      const previous = objects.get(key);
      objects.set(key, object);
      notify({ revision, resource, object, previous, deleted: false });
      return object;
    },
    remove: (resource, liveObject) => {
      const object = withNextVersion(liveObject);
      objectsOf(resource).delete(objectKey(object.metadata.namespace, object.metadata.name));
      notify({ revision, resource, object, previous: liveObject, deleted: true });
      return object;
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    since: (start, resource) => {
      if (start < oldestRevision || start > revision) return undefined;
      return history.filter((event) => event.revision > start && event.resource === resource);
    },
    restore: (start, objects) => {
      revision = start;
      oldestRevision = start;
      for (const [resource, object] of objects)
        objectsOf(resource).set(objectKey(object.metadata.namespace, object.metadata.name), object);
    },
  };
}
