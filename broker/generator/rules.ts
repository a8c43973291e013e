import { Refusal } from '../refusal.ts';
import { isId } from '../stack/rules.ts';

/** Whether an agent's wish to register is enough, or an admin has to approve it. */
export type Policy = 'open' | 'approve';
export type RegistrationState = 'registered' | 'requested';

export interface GeneratorRow {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly registration: Policy;
  readonly system: boolean;
  readonly version: string;
  readonly created_at: Date;
  readonly deleted_at: Date | null;
  readonly stack_count: number;
  readonly agent_count: number;
}

/** Names and ids share a request field, so a name must not look like an id. */
export function checkName(name: string): void {
  if (isId(name)) throw new Refusal('invalid', 'name must not look like an id', { field: 'name' });
}

export function requireLive(generator: GeneratorRow): void {
  if (generator.deleted_at === null) return;
  throw new Refusal('precondition', `generator "${generator.name}" is being deleted`, {
    field: 'generator',
    reason: 'DELETED',
  });
}

/** The system generator owns what admins deploy; without it no agent could be made. */
export function requireDeletable(generator: GeneratorRow, cascade: boolean): void {
  requireLive(generator);
  if (generator.system) {
    throw new Refusal('precondition', 'the system generator cannot be deleted', {
      field: 'generator',
      reason: 'SYSTEM_GENERATOR',
    });
  }
  if (generator.stack_count > 0 && !cascade) {
    throw new Refusal(
      'precondition',
      `generator "${generator.name}" has ${generator.stack_count} stacks: delete them, or set cascade`,
      {
        field: 'cascade',
        reason: 'HAS_STACKS',
      },
    );
  }
}

/** Refuses a mask with a path that is not one of the given. */
export function checkMask(paths: readonly string[], known: readonly string[]): void {
  const unknown = paths.find((path) => !known.includes(path));
  if (unknown === undefined) return;
  throw new Refusal('invalid', `update_mask: "${unknown}" is not one of ${known.join(', ')}`, { field: 'update_mask' });
}

/** What an agent's wish to register leads to: consent counts at once, or waits for an admin. */
export function stateFor(generator: GeneratorRow): RegistrationState {
  return generator.registration === 'approve' ? 'requested' : 'registered';
}
