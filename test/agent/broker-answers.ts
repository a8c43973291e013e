import { createServer } from 'node:http2';
import { create } from '@bufbuild/protobuf';
import { type ConnectRouter, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { type PullTargetStateResponse, PullTargetStateResponseSchema } from '../../gen/brokkr/v1/target_state_pb.ts';

export type Change = 'empty message' | 'no entries' | 'one entry less' | 'last page only' | 'older digest';

export interface AnswerChanger {
  readonly url: string;
  change(change: Change | undefined): void;
  /** How many answers were changed. */
  readonly changed: number;
  close(): Promise<void>;
}

/** Stands between an agent and its broker, hands every call on, and changes what a pull is answered: well-formed, and wrong. */
export async function startAnswerChanger(brokerUrl: string): Promise<AnswerChanger> {
  const broker = createClient(AgentService, createGrpcTransport({ baseUrl: brokerUrl, acceptCompression: [] }));
  let change: Change | undefined;
  let changed = 0;
  let older: PullTargetStateResponse | undefined;
  const pass = (context: { requestHeader: Headers; signal: AbortSignal }) => ({
    headers: { authorization: context.requestHeader.get('authorization') ?? '' },
    signal: context.signal,
  });
  const spoil = (answer: PullTargetStateResponse): PullTargetStateResponse => {
    if (change === undefined) {
      older = answer.entries.length > 0 ? answer : older;
      return answer;
    }
    changed += 1;
    switch (change) {
      case 'empty message':
        return create(PullTargetStateResponseSchema, {});
      case 'no entries':
        return { ...answer, entries: [], manifests: [] };
      case 'one entry less':
      case 'last page only':
        return { ...answer, entries: change === 'one entry less' ? answer.entries.slice(1) : answer.entries.slice(-1) };
      case 'older digest':
        return { ...answer, digest: older?.digest ?? answer.digest };
    }
  };
  const routes = (router: ConnectRouter) =>
    router.service(AgentService, {
      startAgent: (request, context) => broker.startAgent(request, pass(context)),
      pullTargetState: async (request, context) =>
        // Asked for everything each time, so that there is something to spoil.
        spoil(await broker.pullTargetState(change ? { ...request, digest: new Uint8Array() } : request, pass(context))),
      getManifests: (request, context) => broker.getManifests(request, pass(context)),
      reportEvents: (request, context) => broker.reportEvents(request, pass(context)),
      heartbeat: (request, context) => broker.heartbeat(request, pass(context)),
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
    change(next) {
      change = next;
    },
    get changed() {
      return changed;
    },
    async close() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
