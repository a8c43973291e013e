import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { objectActions, outcomes } from '../../contract/enum-names.ts';
import { Receipt, type ReportedEvent, ReportedEventSchema } from '../../gen/brokkr/v1/event_pb.ts';
import type { StackEvent } from '../target/stack-event.ts';

const maxMessage = 4_096;
const maxObjects = 100;
const maxFields = 50;
const maxObjectMessage = 1_000;
/** Bytes of all fields of one event, so that any event fits into a request. */
const maxFieldBytes = 64 << 10;

/** Cuts an event to what can be reported: the first changes, with as many of their fields as fit. The message says when changes are left out. */
export function fitting(event: StackEvent): StackEvent {
  let room = maxFieldBytes;
  const changes = event.changes.slice(0, maxObjects).map((change) => {
    if (!change.fields) return change;
    const fields = change.fields.slice(0, maxFields).filter((path) => {
      room -= sizeOfField(path);
      return room >= 0;
    });
    return { ...change, fields };
  });
  const { length } = event.changes;
  if (length <= maxObjects) return { ...event, changes };
  const cut = `${maxObjects} of ${length} objects are listed`;
  return { ...event, changes, message: event.message === '' ? cut : `${event.message}; ${cut}` };
}

/** Estimates the bytes that an event takes in a request, rather too many. */
export function sizeOfEvent({ message, changes }: StackEvent): number {
  const sizes = changes.map(
    (change) =>
      400 +
      3 * Math.min(change.message.length, maxObjectMessage) +
      (change.fields ?? []).reduce((sum, path) => sum + sizeOfField(path), 0),
  );
  return sizes.reduce((sum, size) => sum + size, 300 + 3 * Math.min(message.length, maxMessage));
}

function sizeOfField(path: string): number {
  return 4 + Buffer.byteLength(path.slice(0, maxObjectMessage));
}

/** Builds the message of an event, cut to the limits of the contract and to text that PostgreSQL stores. */
export function toMessage({ sequence, event }: { sequence: bigint; event: StackEvent }): ReportedEvent {
  const { stackId, deploymentId, checksum, generation, order, outcome, message, changes, heldKeys, at } = event;
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
      action: objectActions[change.action],
      fields: (change.fields ?? []).slice(0, maxFields).map((path) => plain(path, maxObjectMessage)),
      message: plain(change.message, maxObjectMessage),
    })),
    heldKeys: [...heldKeys],
    agentTime: timestampFromDate(at),
  });
}

/** Cuts text to `length` characters, and replaces what PostgreSQL cannot store. */
export function plain(text: string, length: number): string {
  return text.replaceAll('\u0000', '\ufffd').slice(0, length).toWellFormed();
}

/** Returns the name of a receipt; undefined for one that this version does not know. */
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
