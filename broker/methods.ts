import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../gen/brokkr/v1/admin_pb.ts';
import type { AgentService } from '../gen/brokkr/v1/agent_pb.ts';
import type { BrokerService } from '../gen/brokkr/v1/broker_pb.ts';
import { keyMethods, ownKeyMethods } from './access/service.ts';
import { enrollMethods, enrollmentMethods } from './agent/enrollment-service.ts';
import { selfMethods } from './agent/self-service.ts';
import { agentMethods, placeableAgentMethods } from './agent/service.ts';
import { auditMethods } from './audit/service.ts';
import { deploymentMethods } from './deployment/service.ts';
import type { Deps } from './deps.ts';
import { answerMethods, diagnosticMethods } from './diagnostic/service.ts';
import { eventMethods, reportMethods } from './event/service.ts';
import { fleetMethods } from './fleet/service.ts';
import { fleetWatchMethods } from './fleet/watch.ts';
import { consentMethods, registrationMethods } from './generator/registration-service.ts';
import { generatorMethods } from './generator/service.ts';
import { healthMethods, healthReportMethods } from './health/service.ts';
import type { Parts } from './parts.ts';
import { placementMethods, removalMethods } from './placement/service.ts';
import { problemMethods } from './problem/service.ts';
import { stackMethods } from './stack/service.ts';
import { watchMethods } from './stack/watch.ts';
import { manifestMethods } from './target/manifest-service.ts';
import { targetMethods } from './target/service.ts';
import { sessionMethods } from './target/session.ts';
import { telemetryMethods } from './telemetry/service.ts';
import { tailMethods } from './telemetry/watch.ts';

export interface MethodDeps extends Deps, Omit<Parts, 'keys' | 'now'> {
  /** Retention of telemetry, in milliseconds. */
  readonly keepMs: number;
  /** Aborts, with a refusal, when the broker shuts down. */
  readonly closing: AbortSignal;
  readonly version: string;
}

/** The methods of the three services. */
export interface Methods {
  readonly broker: ServiceImpl<typeof BrokerService>;
  readonly agent: ServiceImpl<typeof AgentService>;
  readonly admin: ServiceImpl<typeof AdminService>;
}

export function createMethods(deps: MethodDeps): Methods {
  const { incarnationOf } = deps.targets;
  return {
    broker: {
      ...ownKeyMethods(deps),
      ...stackMethods(deps),
      ...deploymentMethods(deps),
      ...placeableAgentMethods(deps),
      ...placementMethods(deps),
      ...problemMethods(deps),
      ...watchMethods(deps),
      ...eventMethods(deps),
      ...healthMethods(deps),
      ...diagnosticMethods(deps),
      ...telemetryMethods(deps),
      ...tailMethods(deps),
    },
    agent: {
      ...enrollMethods(deps),
      ...selfMethods({ ...deps, incarnationOf }),
      ...targetMethods(deps),
      ...manifestMethods(deps),
      ...reportMethods(deps),
      ...consentMethods(deps),
      ...sessionMethods(deps),
      ...healthReportMethods(deps),
      ...answerMethods({ ...deps, incarnationOf }),
    },
    admin: {
      ...agentMethods(deps),
      ...enrollmentMethods(deps),
      ...removalMethods(deps),
      ...generatorMethods(deps),
      ...registrationMethods(deps),
      ...keyMethods(deps),
      ...auditMethods(deps),
      ...fleetMethods(deps),
      ...fleetWatchMethods(deps),
    },
  };
}
