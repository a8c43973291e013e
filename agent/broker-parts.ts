import type { TargetState } from '../contract/target-state.ts';
import type { BrokerClient } from './broker/client.ts';
import { createDiagnosticWorker, type DiagnosticWorker } from './broker/diagnostic-worker.ts';
import { BrokerError } from './broker/error.ts';
import { createPuller, type Puller } from './broker/puller.ts';
import { createSession, type Session } from './broker/session.ts';
import type { AgentContext } from './context.ts';
import { DiagnosisError, diagnose } from './diagnostic/collect.ts';
import type { StackParts } from './stack-parts.ts';
import { createTelemetry, type Telemetry } from './telemetry/telemetry.ts';

/** The parts that keep in touch with the broker. */
export interface BrokerParts {
  readonly diagnosticWorker: DiagnosticWorker;
  readonly telemetry: Telemetry;
  readonly session: Session;
  readonly puller: Puller;
}

/** Builds the parts. `reannounce` is called when the broker seems to have lost something. */
export function createBrokerParts(
  context: AgentContext,
  broker: BrokerClient,
  stackParts: StackParts,
  reannounce: () => void,
): BrokerParts {
  const { connections, connectivity, lifecycle, options } = context;
  const { healthReporter, pullRequests } = stackParts;
  const diagnosticWorker = answerDiagnostics(context, broker, stackParts);
  const telemetry = collectTelemetry(context, stackParts);
  const session = createSession({
    client: connections.broker,
    broker,
    log: options.log,
    cluster: () => ({ reachable: connectivity.cluster.ready, latencyMs: connectivity.clusterLatencyMs }),
    telemetry: telemetry.outbox,
    targetChanged: pullRequests.pull,
    cameUp: healthReporter.resend,
    diagnosticRequested: diagnosticWorker.wake,
    fenced: lifecycle.fenced,
  });
  const puller = pullTargets(context, broker, stackParts, { isHinted: () => session.isUp, reannounce });
  return { diagnosticWorker, telemetry, session, puller };
}

function answerDiagnostics(
  { connections: { cluster }, config, options }: AgentContext,
  broker: BrokerClient,
  { stacks, inventories }: StackParts,
): DiagnosticWorker {
  return createDiagnosticWorker({
    broker,
    log: options.log,
    intervalMs: config.pullIntervalMs,
    diagnose: (question, signal) => {
      const entry = stacks.entryOf(question.stackId);
      if (!entry) throw new DiagnosisError('this agent does not serve the stack');
      // A tenant is shown only what its own account may see.
      const { serviceAccount } = entry;
      const tenantCluster = serviceAccount === '' ? cluster : cluster.impersonate(serviceAccount);
      return diagnose({ cluster: tenantCluster, inventories }, question, signal);
    },
  });
}

function collectTelemetry(
  { connections, config, options }: AgentContext,
  { ownership, stacks, clusterState }: StackParts,
): Telemetry {
  return createTelemetry({
    level: config.telemetry,
    cluster: connections.telemetry,
    namespace: config.watchNamespace ?? '',
    ownership,
    accountOf: (stackId) => stacks.entryOf(stackId)?.serviceAccount ?? '',
    stackIds: clusterState.objectCache.stackIds,
    log: options.log,
    ...(options.retry && { retry: options.retry }),
    ...(options.telemetry && { limits: options.telemetry }),
  });
}

function pullTargets(
  { manifests, settings, traces, metrics, connectivity, options }: AgentContext,
  broker: BrokerClient,
  { stacks, triggers, pullRequests }: StackParts,
  { isHinted, reannounce }: { readonly isHinted: () => boolean; readonly reannounce: () => void },
): Puller {
  return createPuller({
    broker,
    manifests,
    requests: pullRequests,
    log: options.log,
    intervalMs: () => settings().pullIntervalMs,
    received: traces.received,
    accept: (state: TargetState) => {
      const verdict = triggers.targetReceived(state);
      if (verdict === 'old')
        throw new BrokerError('unavailable', `the broker is in epoch ${state.epoch}, which is over`, undefined);
      if (verdict === 'doubtful') reannounce();
    },
    arrived: triggers.manifestArrived,
    seen: () => ({ epoch: stacks.epoch, order: stacks.order }),
    isHinted,
    observe: (result, reason) => {
      metrics.pulls.inc({ result });
      if (result === 'failed') connectivity.brokerFailed(reason ?? '');
      else connectivity.brokerAnswered();
    },
  });
}
