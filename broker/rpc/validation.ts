import type { DescMessage } from '@bufbuild/protobuf';
import { pathToString, type ReflectMessage, reflect } from '@bufbuild/protobuf/reflect';
import { createValidator } from '@bufbuild/protovalidate';
import type { Interceptor } from '@connectrpc/connect';
import { Refusal, type Violation } from '../refusal.ts';

const maxViolations = 20;

/**
 * Checks every request message by the rules of the contract (buf.validate), and refuses NUL characters, which PostgreSQL cannot
 * keep. INVALID_ARGUMENT names each bad field.
 */
export function validationInterceptor(): Interceptor {
  const validator = createValidator();
  const check = (schema: DescMessage, message: object) => {
    const result = validator.validate(schema, message as never);
    if (result.kind === 'error') throw result.error;
    const violations =
      result.kind === 'invalid'
        ? result.violations.map((violation) => toViolation(pathToString(violation.field), violation.message))
        : findNul(reflect(schema, message as never), '');
    const [first] = violations;
    if (!first) return;
    const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : '';
    throw new Refusal('invalid', `${first.field}: ${first.description}${more}`, {
      reason: 'BAD_FIELD',
      violations: violations.slice(0, maxViolations),
    });
  };
  return (next) => async (request) => {
    if (!request.stream) {
      check(request.method.input, request.message);
      return next(request);
    }
    return next({ ...request, message: each(request.message, (message) => check(request.method.input, message)) });
  };
}

async function* each<T>(messages: AsyncIterable<T>, check: (message: T) => void): AsyncIterable<T> {
  for await (const message of messages) {
    check(message);
    yield message;
  }
}

function toViolation(field: string, description: string): Violation {
  return { field, description };
}

/** Fields of a message, and of those in it, with a string that has a NUL. */
function findNul(message: ReflectMessage, prefix: string): Violation[] {
  const found: Violation[] = [];
  for (const field of message.sortedFields) {
    if (!message.isSet(field)) continue;
    const name = prefix + field.name;
    if (field.fieldKind === 'message') found.push(...findNul(message.get(field), `${name}.`));
    else if (field.fieldKind === 'scalar') found.push(...nulIn(message.get(field), name));
    else if (field.fieldKind === 'list') {
      for (const [at, item] of [...message.get(field)].entries()) {
        const place = `${name}[${at}]`;
        found.push(
          ...(field.listKind === 'message' ? findNul(item as ReflectMessage, `${place}.`) : nulIn(item, place)),
        );
      }
    } else if (field.fieldKind === 'map') {
      for (const [key, value] of message.get(field)) found.push(...nulIn(key, name), ...nulIn(value, name));
    }
  }
  return found;
}

function nulIn(value: unknown, field: string): Violation[] {
  return typeof value === 'string' && value.includes('\0') ? [toViolation(field, 'has a NUL character')] : [];
}
