import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { healths } from '../../contract/enum-names.ts';
import { type Diagnostic, type DiagnosticReport, DiagnosticReportSchema } from '../../gen/brokkr/v1/diagnostic_pb.ts';
import type { DiagnosisRequest, Findings } from '../diagnostic/collect.ts';
import { plain } from './events.ts';

/** Reads a diagnostic request. */
export function toQuestion({ id, stackId, object }: Diagnostic): DiagnosisRequest {
  if (!object) return { id, stackId, object: undefined };
  const { apiVersion, kind, namespace, name } = object;
  return { id, stackId, object: { apiVersion, kind, namespace, name } };
}

/** Builds the report of a diagnosis, cut to the limits of the contract. */
export function toReport({ objects, pods, events, notes }: Findings): DiagnosticReport {
  return create(DiagnosticReportSchema, {
    objects: objects.map(({ object, health, message, yaml, rollout }) => ({
      object,
      health: healths[health],
      message: plain(message, 4_096),
      yaml: plain(yaml, 65_536),
      rollout: rollout.slice(0, 20).map((line) => plain(line, 512)),
    })),
    pods: pods.map(({ namespace, name, phase, node, message, containers }) => ({
      namespace,
      name,
      phase: plain(phase, 63),
      node: plain(node, 253),
      message: plain(message, 2_048),
      containers: containers.map((container) => ({
        name: plain(container.name, 253),
        state: plain(container.state, 2_048),
        restarts: container.restarts,
        ready: container.ready,
        logLines: container.logLines.slice(0, 100).map((line) => plain(line, 4_096)),
      })),
    })),
    events: events.map(({ object, type, reason, message, count, at }) => ({
      object,
      type: plain(type, 63),
      reason: plain(reason, 253),
      message: plain(message, 2_048),
      count,
      ...(at && { lastTime: timestampFromDate(at) }),
    })),
    notes: notes.slice(0, 50).map((note) => plain(note, 1_024)),
  });
}
