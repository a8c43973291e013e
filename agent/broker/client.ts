import type { BrokkrClient } from '../../client/client.ts';
import { toDuration } from '../../contract/duration.ts';
import type { TargetEntry, TargetGenerator } from '../../contract/target-state.ts';
import { RegistrationState } from '../../gen/brokkr/v1/generator_pb.ts';
import { TargetStateKind } from '../../gen/brokkr/v1/target_state_pb.ts';
import type { DiagnosisRequest, Findings } from '../diagnostic/collect.ts';
import type { StackHealth } from '../health/status.ts';
import type { StackEvent } from '../target/stack-event.ts';
import { toQuestion, toReport } from './diagnostic.ts';
import { BrokerError, toBrokerError } from './error.ts';
import { plain, receiptOf, toMessage } from './events.ts';
import { type ClusterState, toClusterMessage, toHealthMessage } from './health.ts';
import { fromHex, toEntry, toGenerator, toHex } from './target.ts';

/** The agent's calls to the broker, in the agent's own types. A call that fails rejects with a BrokerError. */
export interface BrokerClient {
  /** Announces the agent and what its cluster holds. The answer's incarnation is carried by every call that follows. */
  start(identity: Identity, held: Held, signal: AbortSignal): Promise<Started>;
  pull(request: PullRequest, signal: AbortSignal): Promise<PullAnswer>;
  /** Streams manifests in chunks; `last` ends each manifest. */
  manifests(checksums: readonly string[], signal: AbortSignal): AsyncIterable<ManifestChunk>;
  report(events: readonly Numbered[], signal: AbortSignal): Promise<EventReceipt[]>;
  /** Reports at most 100 stacks at once. */
  reportHealth(stacks: readonly StackHealth[], signal: AbortSignal): Promise<void>;
  /** Takes the next diagnostic request for this agent; undefined when there is none. */
  claimDiagnostic(signal: AbortSignal): Promise<DiagnosisRequest | undefined>;
  /** Answers a diagnostic request; without findings it failed, and the message says why. */
  completeDiagnostic(id: string, findings: Findings | undefined, message: string, signal: AbortSignal): Promise<void>;
  heartbeat(cluster: ClusterState, signal: AbortSignal): Promise<void>;
  /** Asks for a registration with a generator: `registered` at once, or `requested` from an admin. */
  register(generator: string, signal: AbortSignal): Promise<'registered' | 'requested'>;
  /** Number of this agent's start; 0 before the first. */
  readonly incarnation: bigint;
}

export interface Identity {
  readonly clusterId: string;
  readonly version: string;
  readonly kubernetesVersion: string;
}

export interface Held {
  readonly stacks: readonly { stackId: string; deploymentId: string; order: bigint }[];
  readonly epoch: bigint;
}

export interface Started {
  readonly incarnation: bigint;
  /** The agent's name at the broker. */
  readonly name: string;
  readonly epoch: bigint;
}

export interface PullRequest {
  readonly digest: Uint8Array;
  readonly have: readonly string[];
  readonly pageToken: string;
  readonly waitMs: number;
  readonly epoch: bigint;
  readonly order: bigint;
  /** True when the link seems slow: the answer then gets more time and carries no manifests. */
  readonly isSlow: boolean;
}

export interface PullAnswer {
  readonly kind: 'unchanged' | 'paused' | 'index';
  readonly epoch: bigint;
  readonly digest: Uint8Array;
  readonly entries: readonly TargetEntry[];
  /** All of them are on the first page. */
  readonly generators: readonly TargetGenerator[];
  readonly manifests: readonly { checksum: string; data: Uint8Array }[];
  readonly nextPageToken: string;
}

export interface ManifestChunk {
  readonly checksum: string;
  readonly data: Uint8Array;
  readonly last: boolean;
}

export interface Numbered {
  readonly sequence: bigint;
  readonly event: StackEvent;
}

export interface EventReceipt {
  readonly sequence: bigint;
  readonly receipt: 'accepted' | 'duplicate' | 'refused';
  readonly reason: string;
}

/** Time for the answer to a long poll, beyond its wait. */
const answerMs = 15_000;
const slowAnswerMs = 60_000;
const stallMs = 15_000;
/** The contract takes no more at the start. */
const maxHeld = 10_000;

/** Shared by all groups of calls. */
interface Calls {
  readonly client: BrokkrClient;
  readonly agent: BrokkrClient['agent'];
  readonly incarnation: () => bigint;
  /** Makes a call; turns what it rejects with into a BrokerError. */
  readonly call: <Result>(work: () => Promise<Result>) => Promise<Result>;
}

/** Wraps the generated client. `fenced` is called whenever an answer says that another agent runs with this key. */
export function createBrokerClient(client: BrokkrClient, fenced: (reason: string) => void): BrokerClient {
  let incarnation = 0n;
  const failed = (error: unknown): BrokerError => {
    const failure = toBrokerError(error);
    if (failure.kind === 'fenced') fenced(failure.message);
    return failure;
  };
  const call = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    try {
      return await work();
    } catch (error) {
      throw failed(error);
    }
  };
  const calls: Calls = { client, agent: client.agent, incarnation: () => incarnation, call };
  return {
    get incarnation() {
      return incarnation;
    },
    start: (identity, { stacks, epoch }, signal) =>
      call(async () => {
        const request = { ...identity, held: stacks.slice(0, maxHeld), epoch, incarnation };
        const answer = await client.agent.startAgent(request, { signal });
        if (answer.incarnation === 0n)
          throw new BrokerError('unavailable', 'the broker gave no incarnation', undefined);
        incarnation = answer.incarnation;
        return { incarnation, name: answer.name, epoch: answer.epoch };
      }),
    ...targetCalls(calls),
    async *manifests(checksums, signal) {
      try {
        yield* streamManifests(calls, checksums, signal);
      } catch (error) {
        throw failed(error);
      }
    },
    ...reportCalls(calls),
    ...diagnosticCalls(calls),
  };
}

function targetCalls({ agent, incarnation, call }: Calls): Pick<BrokerClient, 'pull' | 'heartbeat' | 'register'> {
  return {
    pull: (request, signal) =>
      call(async () => {
        const { digest, pageToken, epoch, order, waitMs, isSlow } = request;
        const have = request.have.map(fromHex);
        const wait = waitMs > 0 ? toDuration(Math.round(waitMs)) : undefined;
        const answer = await agent.pullTargetState(
          { incarnation: incarnation(), digest, have, pageToken, wait, epoch, order, withoutManifests: isSlow },
          { signal, timeoutMs: Math.round(waitMs) + (isSlow ? slowAnswerMs : answerMs) },
        );
        return {
          kind: kindOf(answer.kind),
          epoch: answer.epoch,
          digest: answer.digest,
          entries: answer.entries.map(toEntry),
          generators: answer.generators.map(toGenerator),
          manifests: answer.manifests.map(({ checksum, data }) => ({ checksum: toHex(checksum), data })),
          nextPageToken: answer.nextPageToken,
        };
      }),
    heartbeat: (cluster, signal) =>
      call(async () => {
        await agent.heartbeat({ incarnation: incarnation(), cluster: toClusterMessage(cluster) }, { signal });
      }),
    register: (generator, signal) =>
      call(async () => {
        const { registration } = await agent.registerGenerator({ generator, incarnation: incarnation() }, { signal });
        return registration?.state === RegistrationState.REGISTERED ? 'registered' : 'requested';
      }),
  };
}

async function* streamManifests(
  { client, agent, incarnation }: Calls,
  checksums: readonly string[],
  signal: AbortSignal,
): AsyncIterable<ManifestChunk> {
  const stalled = new AbortController();
  // A connection that stays open and delivers nothing would block for ever; closing it gives the next try a new one.
  const stall = () => {
    stalled.abort();
    client.close();
  };
  let timer = setTimeout(stall, stallMs);
  try {
    const request = { incarnation: incarnation(), checksums: checksums.map(fromHex) };
    const during = AbortSignal.any([signal, stalled.signal]);
    for await (const { checksum, data, last } of agent.getManifests(request, { signal: during })) {
      clearTimeout(timer);
      yield { checksum: toHex(checksum), data, last };
      timer = setTimeout(stall, stallMs);
    }
  } catch (error) {
    if (stalled.signal.aborted) throw new BrokerError('unavailable', `no manifest came for ${stallMs / 1000} s`, error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function reportCalls({ agent, incarnation, call }: Calls): Pick<BrokerClient, 'report' | 'reportHealth'> {
  return {
    report: (events, signal) =>
      call(async () => {
        const request = { incarnation: incarnation(), events: events.map(toMessage) };
        const { receipts } = await agent.reportEvents(request, { signal });
        return receipts.map(({ sequence, receipt: number, reason }) => {
          const receipt = receiptOf(number);
          if (!receipt) throw new BrokerError('unavailable', 'a receipt says nothing', undefined);
          return { sequence, receipt, reason };
        });
      }),
    reportHealth: (stacks, signal) =>
      call(async () => {
        await agent.reportHealth({ incarnation: incarnation(), stacks: stacks.map(toHealthMessage) }, { signal });
      }),
  };
}

function diagnosticCalls({
  agent,
  incarnation,
  call,
}: Calls): Pick<BrokerClient, 'claimDiagnostic' | 'completeDiagnostic'> {
  return {
    claimDiagnostic: (signal) =>
      call(async () => {
        const { diagnostic } = await agent.claimDiagnostic({ incarnation: incarnation() }, { signal });
        return diagnostic && toQuestion(diagnostic);
      }),
    completeDiagnostic: (id, findings, message, signal) =>
      call(async () => {
        const report = findings && toReport(findings);
        const request = { incarnation: incarnation(), id, report, message: plain(message, 2_048) };
        await agent.completeDiagnostic(request, { signal });
      }),
  };
}

/** An answer without a kind is no answer: something on the way has emptied it. */
function kindOf(kind: TargetStateKind): PullAnswer['kind'] {
  switch (kind) {
    case TargetStateKind.UNCHANGED:
      return 'unchanged';
    case TargetStateKind.PAUSED:
      return 'paused';
    case TargetStateKind.INDEX:
      return 'index';
    default:
      throw new BrokerError('unavailable', 'the broker’s answer says nothing', undefined);
  }
}
