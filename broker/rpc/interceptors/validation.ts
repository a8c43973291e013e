import { type DescMessage, type DescMethod, fromJsonString, type Message, toJsonString } from '@bufbuild/protobuf';
import { isReflectMessage, pathToString, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { hasKey, withoutKeys } from '../../access/pak.ts';
import { andMore, Refusal, type Violation } from '../../refusal.ts';

/**
 * Checks every request message by the rules of the contract (buf.validate), and refuses what no rule speaks of and nothing behind
 * it could keep: NUL characters, halves of surrogate pairs, times beyond the years 1 to 9999, and keys, which people paste into the
 * wrong place. INVALID_ARGUMENT names each bad field. What agents tell they have from elsewhere: it goes on, without the keys.
 */
export function validationInterceptor(): Interceptor {
  const validator = createValidator();
  /** The message as it may be kept. */
  const check = <T>({ input, parent }: DescMethod, message: T): T => {
    const isOfAgent = parent.name === 'AgentService';
    let hasKeys = false;
    const whyNotAgentText: ReasonAgainst = (text) => {
      hasKeys ||= hasKey(text);
      return whyNotText(text);
    };
    const result = validator.validate(input, message as never);
    if (result.kind === 'error') throw result.error;
    const violations =
      result.kind === 'invalid'
        ? result.violations.map((violation) => toViolation(pathToString(violation.field), violation.message))
        : findUnclean(reflect(input, message as never), '', isOfAgent ? whyNotAgentText : whyNotPublicText);
    const [first] = violations;
    if (!first) return hasKeys ? (withoutKeysIn(input, message as Message) as T) : message;
    throw new Refusal('invalid_argument', `${first.field}: ${first.description}${andMore(violations)}`, {
      reason: 'BAD_FIELD',
      violations,
    });
  };
  return (next) => async (request) => {
    if (!request.stream) return next({ ...request, message: check(request.method, request.message) });
    return next({ ...request, message: each(request.message, (message) => check(request.method, message)) });
  };
}

async function* each<T>(messages: AsyncIterable<T>, check: (message: T) => T): AsyncIterable<T> {
  for await (const message of messages) yield check(message);
}

/** The same message, but that none of its texts, wherever they are, has a key. */
function withoutKeysIn(schema: DescMessage, message: Message): Message {
  return fromJsonString(schema, withoutKeys(toJsonString(schema, message)));
}

function toViolation(field: string, description: string): Violation {
  return { field, description };
}

/** Fields of a message, and of those in it, with a text or a time that cannot be kept. */
function findUnclean(message: ReflectMessage, prefix: string, reasonAgainst: ReasonAgainst): Violation[] {
  const uncleanText = (value: unknown, field: string): Violation[] => {
    const reason = typeof value === 'string' ? reasonAgainst(value) : undefined;
    return reason === undefined ? [] : [toViolation(field, reason)];
  };
  if (isReflectMessage(message, TimestampSchema) && !isTime(message.message as Timestamp))
    return [toViolation(prefix.replace(/\.$/, ''), 'is not a time from the year 1 to 9999')];
  const found: Violation[] = [];
  for (const field of message.sortedFields) {
    if (!message.isSet(field)) continue;
    const name = prefix + field.name;
    if (field.fieldKind === 'message') found.push(...findUnclean(message.get(field), `${name}.`, reasonAgainst));
    else if (field.fieldKind === 'scalar') found.push(...uncleanText(message.get(field), name));
    else if (field.fieldKind === 'list') {
      for (const [at, item] of [...message.get(field)].entries()) {
        const place = `${name}[${at}]`;
        found.push(
          ...(field.listKind === 'message'
            ? findUnclean(item as ReflectMessage, `${place}.`, reasonAgainst)
            : uncleanText(item, place)),
        );
      }
    } else if (field.fieldKind === 'map') {
      for (const [key, value] of message.get(field)) found.push(...uncleanText(key, name), ...uncleanText(value, name));
    }
  }
  return found;
}

type ReasonAgainst = (text: string) => string | undefined;

function whyNotText(text: string): string | undefined {
  if (text.includes('\0')) return 'has a NUL character';
  return text.isWellFormed() ? undefined : 'has half of a surrogate pair';
}

function whyNotPublicText(text: string): string | undefined {
  return hasKey(text) ? 'has a key in it: whoever may read this would have it too' : whyNotText(text);
}

/** By the definition of google.protobuf.Timestamp. */
function isTime({ seconds, nanos }: Timestamp): boolean {
  return seconds >= -62_135_596_800n && seconds <= 253_402_300_799n && nanos >= 0 && nanos < 1e9;
}
