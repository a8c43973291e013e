import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Outcome, Receipt, type ReportedEvent, ReportedEventSchema } from '../gen/brokkr/v1/event_pb.ts';
import { ObjectAction } from '../gen/brokkr/v1/object_pb.ts';
import type { Change, Outcome as OutcomeName, StackEvent } from './event.ts';

const maxMessage = 4_096;
const maxObjects = 100;
const maxObjectMessage = 1_000;

const outcomes = {
  applied: Outcome.APPLIED,
  failed: Outcome.FAILED,
  removed: Outcome.REMOVED,
  removal_failed: Outcome.REMOVAL_FAILED,
  held: Outcome.HELD,
  ahead: Outcome.AHEAD,
} as const satisfies Record<OutcomeName, Outcome>;

const actions = {
  created: ObjectAction.CREATED,
  configured: ObjectAction.CONFIGURED,
  deleted: ObjectAction.DELETED,
  failed: ObjectAction.FAILED,
  held: ObjectAction.HELD,
} as const satisfies Record<Change['action'], ObjectAction>;

/** An event under its number, as the contract has it: cut to what it allows, and to what every database takes. */
export function toMessage({ sequence, event }: { sequence: bigint; event: StackEvent }): ReportedEvent {
  const { stackId, deploymentId, checksum, generation, order, outcome, message, changes, at } = event;
  return create(ReportedEventSchema, {
    sequence,
    stackId,
    deploymentId,
    checksum,
    generation,
    order,
    outcome: outcomes[outcome],
    message: plain(message, maxMessage),
    objects: changes.slice(0, maxObjects).map((change) => ({
      object: change.object,
      action: actions[change.action],
      message: plain(change.message, maxObjectMessage),
    })),
    agentTime: timestampFromDate(at),
  });
}

/** Text that every database takes, of so many characters at most. */
function plain(text: string, length: number): string {
  return text.replaceAll('\u0000', '\ufffd').slice(0, length).toWellFormed();
}

/** Undefined for an answer that says nothing. */
export function receiptOf(receipt: Receipt): 'accepted' | 'duplicate' | 'refused' | undefined {
  switch (receipt) {
    case Receipt.ACCEPTED:
      return 'accepted';
    case Receipt.DUPLICATE:
      return 'duplicate';
    case Receipt.REFUSED:
      return 'refused';
    default:
      return undefined;
  }
}
