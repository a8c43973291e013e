import { constants, type Http2Session } from 'node:http2';
import type { Http2SessionManager } from '@connectrpc/connect-node';

/** The connection of a client, which the transports use. */
export type Connection = Pick<Http2SessionManager, 'authority' | 'request' | 'notifyResponseByteRead'> & {
  /** Ends the connection and cancels its calls. */
  abort(): void;
};

/**
 * Replaces a connection that Node would no longer use properly, without ending the calls that it carries: Node (24) keeps counting what
 * was not sent of a request that was answered early, until the connection delays every call and then refuses it with
 * ENHANCE_YOUR_CALM. `connect` creates the manager of another connection, which opens it at the first call.
 */
export function createConnection(connect: () => Http2SessionManager): Connection {
  const managers = new Set<Http2SessionManager>();
  const openCalls = new Map<Http2SessionManager, number>();
  const managerOf = new WeakMap<object, Http2SessionManager>();
  const handledSessions = new WeakSet<Http2Session>();
  const create = () => {
    const manager = connect();
    managers.add(manager);
    return manager;
  };
  let current = create();

  const endIfUnused = (manager: Http2SessionManager) => {
    if (manager === current || (openCalls.get(manager) ?? 0) > 0) return;
    managers.delete(manager);
    openCalls.delete(manager);
    manager.abort();
  };
  const changeOpenCalls = (manager: Http2SessionManager, by: 1 | -1) => {
    openCalls.set(manager, (openCalls.get(manager) ?? 0) + by);
  };

  return {
    authority: current.authority,
    async request(...call) {
      const manager = current;
      changeOpenCalls(manager, 1);
      const stream = await manager.request(...call).catch((error: unknown) => {
        changeOpenCalls(manager, -1);
        endIfUnused(manager);
        throw error;
      });
      managerOf.set(stream, manager);
      stream.once('close', () => {
        changeOpenCalls(manager, -1);
        const isFull = stream.writableLength > 0 || stream.rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM;
        if (isFull && manager === current) current = create();
        endIfUnused(manager);
      });
      ignoreLateErrors(stream.session, handledSessions);
      return stream;
    },
    notifyResponseByteRead: (stream) => managerOf.get(stream)?.notifyResponseByteRead(stream),
    abort() {
      for (const manager of managers) manager.abort();
    },
  };
}

/**
 * Handles errors of connections that the manager no longer listens to. A failing connection reports its error only when its socket
 * closes. If a call in between makes the manager (2.2.0) open another connection, the unhandled `error` of the first one would end the
 * process. The calls on it fail with the same error, so the event can be ignored.
 */
function ignoreLateErrors(session: Http2Session | undefined, handled: WeakSet<Http2Session>): void {
  if (session === undefined || handled.has(session)) return;
  handled.add(session);
  session.on('error', () => {});
}
