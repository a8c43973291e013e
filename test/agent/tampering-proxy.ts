import { createServer } from 'node:http2';
import { create } from '@bufbuild/protobuf';
import { type ConnectRouter, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { type PullTargetStateResponse, PullTargetStateResponseSchema } from '../../gen/brokkr/v1/target_state_pb.ts';

export type Tampering = 'empty message' | 'no entries' | 'one entry less' | 'last page only' | 'older digest';

export interface TamperingProxy {
  readonly url: string;
  tamper(tampering: Tampering | undefined): void;
  /** Number of changed responses. */
  readonly tamperedCount: number;
  close(): Promise<void>;
}

/** Starts a proxy between an agent and its broker that forwards every call and makes pull responses well-formed, but wrong. */
export async function startTamperingProxy(brokerUrl: string): Promise<TamperingProxy> {
  const broker = createClient(AgentService, createGrpcTransport({ baseUrl: brokerUrl, acceptCompression: [] }));
  const tamperer = createTamperer();
  const routes = (router: ConnectRouter) =>
    router.service(AgentService, {
      startAgent: (request, context) => broker.startAgent(request, forwarded(context)),
      async pullTargetState(request, context) {
        // Without a digest the broker sends everything each time, so that there is something to tamper with.
        const asked = tamperer.tampering ? { ...request, digest: new Uint8Array() } : request;
        return tamperer.apply(await broker.pullTargetState(asked, forwarded(context)));
      },
      getManifests: (request, context) => broker.getManifests(request, forwarded(context)),
      reportEvents: (request, context) => broker.reportEvents(request, forwarded(context)),
      heartbeat: (request, context) => broker.heartbeat(request, forwarded(context)),
    });
  const server = createServer(connectNodeAdapter({ routes }));
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    tamper(next) {
      tamperer.tampering = next;
    },
    get tamperedCount() {
      return tamperer.count;
    },
    async close() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forwarded(context: { requestHeader: Headers; signal: AbortSignal }) {
  return {
    headers: { authorization: context.requestHeader.get('authorization') ?? '' },
    signal: context.signal,
  };
}

function createTamperer() {
  let older: PullTargetStateResponse | undefined;
  return {
    tampering: undefined as Tampering | undefined,
    count: 0,
    apply(answer: PullTargetStateResponse): PullTargetStateResponse {
      if (this.tampering === undefined) {
        older = answer.entries.length > 0 ? answer : older;
        return answer;
      }
      this.count += 1;
      switch (this.tampering) {
        case 'empty message':
          return create(PullTargetStateResponseSchema, {});
        case 'no entries':
          return { ...answer, entries: [], manifests: [] };
        case 'one entry less':
          return { ...answer, entries: answer.entries.slice(1) };
        case 'last page only':
          return { ...answer, entries: answer.entries.slice(-1) };
        case 'older digest':
          return { ...answer, digest: older?.digest ?? answer.digest };
      }
    },
  };
}
