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

/** The agent's calls to the broker, in the agent's own words. What the broker refuses is a BrokerError. */
export interface Wire {
  start(
    identity: Identity,
    held: Held,
    signal: AbortSignal,
  ): Promise<{ incarnation: bigint; name: string; epoch: bigint }>;
  pull(request: PullRequest, signal: AbortSignal): Promise<PullAnswer>;
  /** Manifests in chunks; `last` ends each. */
  manifests(
    checksums: readonly string[],
    signal: AbortSignal,
  ): AsyncIterable<{ checksum: string; data: Uint8Array; last: boolean }>;
  report(
    events: readonly Numbered[],
    signal: AbortSignal,
  ): Promise<{ sequence: bigint; receipt: 'accepted' | 'duplicate' | 'refused'; reason: string }[]>;
  /** At most 100 at once. */
  reportHealth(stacks: readonly StackHealth[], signal: AbortSignal): Promise<void>;
  /** What is asked of this agent; undefined for nothing. */
  claimDiagnostic(signal: AbortSignal): Promise<DiagnosisRequest | undefined>;
  /** Without findings it failed, and the message says why. */
  completeDiagnostic(id: string, findings: Findings | undefined, message: string, signal: AbortSignal): Promise<void>;
  heartbeat(cluster: ClusterState, signal: AbortSignal): Promise<void>;
  /** Answers whether the agent is registered at once, or an admin has to approve. */
  register(generator: string, signal: AbortSignal): Promise<'registered' | 'requested'>;
  /** Carried by every call after `start`. */
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

export interface PullRequest {
  readonly digest: Uint8Array;
  readonly have: readonly string[];
  readonly pageToken: string;
  readonly waitMs: number;
  readonly epoch: bigint;
  readonly order: bigint;
  /** Expects a slow link: more time for the answer, and no manifests in it. */
  readonly isSlow: boolean;
}

export interface PullAnswer {
  readonly kind: 'unchanged' | 'paused' | 'index';
  readonly epoch: bigint;
  readonly digest: Uint8Array;
  readonly entries: readonly TargetEntry[];
  /** On the first page, all of them. */
  readonly generators: readonly TargetGenerator[];
  readonly manifests: readonly { checksum: string; data: Uint8Array }[];
  readonly nextPageToken: string;
}

export interface Numbered {
  readonly sequence: bigint;
  readonly event: StackEvent;
}

/** Beyond the wait itself, for a long poll's answer. */
const answerMs = 15_000;
const slowAnswerMs = 60_000;
const stallMs = 15_000;

export function createWire(client: BrokkrClient): Wire {
  const { agent } = client;
  let incarnation = 0n;
  return {
    get incarnation() {
      return incarnation;
    },
    start: (identity, held, signal) =>
      told(async () => {
        const request = { ...identity, held: [...held.stacks].slice(0, 10_000), epoch: held.epoch, incarnation };
        const answer = await agent.startAgent(request, { signal });
        if (answer.incarnation === 0n)
          throw new BrokerError('unavailable', 'the broker gave no incarnation', undefined);
        incarnation = answer.incarnation;
        return { incarnation, name: answer.name, epoch: answer.epoch };
      }),
    pull: (request, signal) =>
      told(async () => {
        const { digest, pageToken, epoch, order, waitMs, isSlow } = request;
        const have = request.have.map(fromHex);
        const wait = waitMs > 0 ? toDuration(Math.round(waitMs)) : undefined;
        const answer = await agent.pullTargetState(
          { incarnation, digest, have, pageToken, wait, epoch, order, withoutManifests: isSlow },
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
    async *manifests(checksums, signal) {
      const stalled = new AbortController();
      // A connection that stays open and brings nothing would be waited for without an end; the next try has a new one.
      const stall = () => {
        stalled.abort();
        client.close();
      };
      let timer = setTimeout(stall, stallMs);
      try {
        const request = { incarnation, checksums: checksums.map(fromHex) };
        const during = AbortSignal.any([signal, stalled.signal]);
        for await (const { checksum, data, last } of agent.getManifests(request, { signal: during })) {
          clearTimeout(timer);
          yield { checksum: toHex(checksum), data, last };
          timer = setTimeout(stall, stallMs);
        }
      } catch (error) {
        if (stalled.signal.aborted)
          throw new BrokerError('unavailable', `no manifest came for ${stallMs / 1000} s`, error);
        throw toBrokerError(error);
      } finally {
        clearTimeout(timer);
      }
    },
    report: (events, signal) =>
      told(async () => {
        const { receipts } = await agent.reportEvents({ incarnation, events: events.map(toMessage) }, { signal });
        return receipts.map(({ sequence, receipt: number, reason }) => {
          const receipt = receiptOf(number);
          if (!receipt) throw new BrokerError('unavailable', 'a receipt says nothing', undefined);
          return { sequence, receipt, reason };
        });
      }),
    reportHealth: (stacks, signal) =>
      told(async () => {
        await agent.reportHealth({ incarnation, stacks: stacks.map(toHealthMessage) }, { signal });
      }),
    claimDiagnostic: (signal) =>
      told(async () => {
        const { diagnostic } = await agent.claimDiagnostic({ incarnation }, { signal });
        return diagnostic && toQuestion(diagnostic);
      }),
    completeDiagnostic: (id, findings, message, signal) =>
      told(async () => {
        const report = findings && toReport(findings);
        await agent.completeDiagnostic({ incarnation, id, report, message: plain(message, 2_048) }, { signal });
      }),
    heartbeat: (cluster, signal) =>
      told(async () => {
        await agent.heartbeat({ incarnation, cluster: toClusterMessage(cluster) }, { signal });
      }),
    register: (generator, signal) =>
      told(async () => {
        const { registration } = await agent.registerGenerator({ generator, incarnation }, { signal });
        return registration?.state === RegistrationState.REGISTERED ? 'registered' : 'requested';
      }),
  };
}

async function told<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw toBrokerError(error);
  }
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
