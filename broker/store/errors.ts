import { Refusal } from '../refusal.ts';

/** Returns the SQLSTATE of a database error, also through MikroORM's wrapping; undefined for other errors. */
export function sqlState(error: unknown): string | undefined {
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const code = (current as { code?: unknown }).code;
    // Every SQLSTATE has a digit; a code without one is the system's, such as EPIPE.
    if (typeof code === 'string' && /^(?=.*[0-9])[0-9A-Z]{5}$/.test(code)) return code;
  }
  return undefined;
}

/** Returns the constraint or index that a statement violated; undefined for other errors. */
function violatedConstraint(error: unknown): string | undefined {
  for (let current = error; current instanceof Error; current = current.cause as unknown) {
    const constraint = (current as { constraint?: unknown }).constraint;
    if (typeof constraint === 'string') return constraint;
  }
  return undefined;
}

/** Turns a unique violation of `index` into ALREADY_EXISTS, reason NAME_TAKEN, and rethrows every other error. */
export function refuseDuplicate(error: unknown, index: string, message: string): never {
  if (sqlState(error) === '23505' && violatedConstraint(error) === index) {
    throw new Refusal('already_exists', message, { reason: 'NAME_TAKEN', cause: error });
  }
  throw error;
}

/** Returns an error's message. A host with several addresses gives an error for each of them, and an empty one for all. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return error instanceof Error ? error.message : String(error);
}
