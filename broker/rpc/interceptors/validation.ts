import { type DescMessage, type DescMethod, fromJsonString, type Message, toJsonString } from '@bufbuild/protobuf';
import { isReflectMessage, pathToString, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { hasKey, withoutKeys } from '../../access/pak.ts';
import { andMore, Refusal, type Violation } from '../../refusal.ts';

/**
 * Checks every request message by the rules of the contract (buf.validate), and refuses values that no rule covers and the database
 * could not store: NUL characters, unpaired surrogates, times outside the years 1 to 9999. Keys are refused too, since people paste
 * them into the wrong place. INVALID_ARGUMENT names each bad field. Agents report texts that they did not write: there, keys are
 * redacted instead.
 */
export function validationInterceptor(): Interceptor {
  const validator = createValidator();
  /** Returns the message, with keys redacted where they are not refused. */
  const check = <T>({ input, parent }: DescMethod, message: T): T => {
    const isAgentService = parent.name === 'AgentService';
    let hasKeys = false;
    const checkAgentText: TextCheck = (text) => {
      hasKeys ||= hasKey(text);
      return checkText(text);
    };
    const result = validator.validate(input, message as never);
    if (result.kind === 'error') throw result.error;
    const violations =
      result.kind === 'invalid'
        ? result.violations.map((violation) => toViolation(pathToString(violation.field), violation.message))
        : findInvalidValues(reflect(input, message as never), '', isAgentService ? checkAgentText : checkPublicText);
    const [first] = violations;
    if (!first) return hasKeys ? (redactKeys(input, message as Message) as T) : message;
    throw new Refusal('invalid_argument', `${first.field}: ${first.description}${andMore(violations)}`, {
      reason: 'BAD_FIELD',
      violations,
    });
  };
  return (next) => async (request) => {
    const { method } = request;
    // Not a copy: calls of native gRPC have getters, which a copy would call.
    return next(
      Object.assign(
        request,
        request.stream
          ? { message: mapMessages(request.message, (message) => check(method, message)) }
          : { message: check(method, request.message) },
      ),
    );
  };
}

async function* mapMessages<T>(messages: AsyncIterable<T>, check: (message: T) => T): AsyncIterable<T> {
  for await (const message of messages) yield check(message);
}

/** Returns the message with the keys in all of its texts redacted. */
function redactKeys(schema: DescMessage, message: Message): Message {
  return fromJsonString(schema, withoutKeys(toJsonString(schema, message)));
}

function toViolation(field: string, description: string): Violation {
  return { field, description };
}

/** Finds the fields of a message, at any depth, whose text or time cannot be stored. */
function findInvalidValues(message: ReflectMessage, prefix: string, checkString: TextCheck): Violation[] {
  const checkScalar = (value: unknown, field: string): Violation[] => {
    const reason = typeof value === 'string' ? checkString(value) : undefined;
    return reason === undefined ? [] : [toViolation(field, reason)];
  };
  if (isReflectMessage(message, TimestampSchema) && !isValidTimestamp(message.message as Timestamp))
    return [toViolation(prefix.replace(/\.$/, ''), 'is not a time from the year 1 to 9999')];
  const violations: Violation[] = [];
  for (const field of message.sortedFields) {
    if (!message.isSet(field)) continue;
    const name = prefix + field.name;
    if (field.fieldKind === 'message')
      violations.push(...findInvalidValues(message.get(field), `${name}.`, checkString));
    else if (field.fieldKind === 'scalar') violations.push(...checkScalar(message.get(field), name));
    else if (field.fieldKind === 'list') {
      for (const [at, item] of [...message.get(field)].entries()) {
        const place = `${name}[${at}]`;
        violations.push(
          ...(field.listKind === 'message'
            ? findInvalidValues(item as ReflectMessage, `${place}.`, checkString)
            : checkScalar(item, place)),
        );
      }
    } else if (field.fieldKind === 'map') {
      for (const [key, value] of message.get(field))
        violations.push(...checkScalar(key, name), ...checkScalar(value, name));
    }
  }
  return violations;
}

type TextCheck = (text: string) => string | undefined;

function checkText(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character';
  return text.isWellFormed() ? undefined : 'has half of a surrogate pair';
}

function checkPublicText(text: string): string | undefined {
  return hasKey(text) ? 'has a key in it: whoever may read this would have it too' : checkText(text);
}

/** The range is that of google.protobuf.Timestamp. */
function isValidTimestamp({ seconds, nanos }: Timestamp): boolean {
  return seconds >= -62_135_596_800n && seconds <= 253_402_300_799n && nanos >= 0 && nanos < 1e9;
}
