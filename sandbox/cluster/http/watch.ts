import type { ServerResponse } from 'node:http';
import type { Core } from '../core/core.ts';
import type { Kind } from '../core/kinds.ts';
import type { JsonObject, KubeObject } from '../core/object.ts';
import type { ObjectFilter } from '../core/selector.ts';
import { StatusError } from '../core/status.ts';
import type { StoreEvent } from '../core/store.ts';
import { toVersion } from '../write/persist.ts';
import { serializeObject } from './json.ts';

const BOOKMARK_MS = 60_000;
const MAX_WATCH_MS = 3_600_000;

/** Streams the events of a kind, one JSON document a line, until the client leaves or the timeout is over. */
export function streamWatch(
  core: Core,
  kind: Kind,
  namespace: string | undefined,
  matches: ObjectFilter,
  query: URLSearchParams,
  response: ServerResponse,
): void {
  // The client left before the answer: there will be no `close` event.
  if (response.closed) return;
  response.writeHead(200, { 'content-type': 'application/json' });
  response.flushHeaders();
  const send = (type: string, text: string) => response.write(`{"type":"${type}","object":${text}}\n`);
  const sendObject = (type: string, object: KubeObject) => send(type, serializeObject(toVersion(kind, object)));
  const sendBookmark = (annotations?: JsonObject) => {
    const metadata = { resourceVersion: String(core.store.revision), creationTimestamp: null, annotations };
    send('BOOKMARK', JSON.stringify({ apiVersion: kind.apiVersion, kind: kind.kind, metadata }));
  };
  const isSelected = (object: KubeObject | undefined) =>
    object !== undefined && (namespace === undefined || object.metadata.namespace === namespace) && matches(object);
  const sendEvent = ({ resource, object, previous, deleted }: StoreEvent) => {
    if (kind.custom && deleted && !core.kinds.byPlural(kind.apiVersion, kind.plural)) response.end();
    if (resource !== kind.resource) return;
    const wasSelected = isSelected(previous);
    const nowSelected = !deleted && isSelected(object);
    if (nowSelected) sendObject(wasSelected ? 'MODIFIED' : 'ADDED', object);
    else if (wasSelected) sendObject('DELETED', previous && !deleted ? toDeletedObject(previous, object) : object);
  };

  const start = query.get('resourceVersion') ?? '';
  const initial = query.get('sendInitialEvents') === 'true' || start === '' || start === '0';
  if (initial) {
    for (const object of core.store.list(kind.resource, namespace)) if (isSelected(object)) sendObject('ADDED', object);
    if (query.get('sendInitialEvents') === 'true') sendBookmark({ 'k8s.io/initial-events-end': 'true' });
  } else {
    const missed = core.store.since(Number(start), kind.resource);
    if (!missed) {
      const { status } = new StatusError(410, `too old resource version: ${start} (${core.store.revision})`);
      send('ERROR', JSON.stringify(status));
      response.end();
      return;
    }
    for (const event of missed) sendEvent(event);
  }
  const bookmarks = query.get('allowWatchBookmarks') === 'true';
  const unsubscribe = core.store.subscribe(sendEvent);
  const bookmarkTimer = bookmarks ? setInterval(sendBookmark, BOOKMARK_MS) : undefined;
  const seconds = Number(query.get('timeoutSeconds') ?? 0);
  const timeout = setTimeout(
    () => {
      if (bookmarks) sendBookmark();
      response.end();
    },
    Math.min(seconds > 0 ? seconds * 1000 : MAX_WATCH_MS, MAX_WATCH_MS),
  );
  response.once('close', () => {
    unsubscribe();
    clearInterval(bookmarkTimer);
    clearTimeout(timeout);
  });
}

/**
 * Builds the DELETED event of an object that no longer matches the selector: its last matching state with the new
 * version.
 */
function toDeletedObject(previous: KubeObject, object: KubeObject): KubeObject {
  return { ...previous, metadata: { ...previous.metadata, resourceVersion: object.metadata.resourceVersion } };
}
