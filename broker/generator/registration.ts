import { lockAgentSide } from '../placement/lock-store.ts';
import { updatePlacements, updateServiceAccounts } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { announce } from '../store/feed.ts';
import type { Tx } from '../store/orm.ts';
import {
  deleteRegistration,
  findRegistration,
  type RegistrationRow,
  upsertRegistration,
  writeServiceAccount,
} from './registration-store.ts';
import { type GeneratorRow, type RegistrationState, requireLive } from './rules.ts';
import { findGenerator, generatorById } from './store.ts';

interface Pair {
  readonly agent: { readonly id: string; readonly name: string };
  readonly generator: string;
}

/**
 * Takes the agent side's locks for an agent and one more generator, then reads the generator: only under the locks is it certain that
 * it is not being deleted.
 */
export async function lockPair(tx: Tx, { agent, generator }: Pair): Promise<GeneratorRow> {
  const found = await findGenerator(tx, generator);
  await lockAgentSide(tx, agent.id, [found.id]);
  return generatorById(tx, found.id);
}

/** Registers an agent with a generator, or requests it, and updates its placements. The locks must be held. */
export async function register(
  tx: Tx,
  agentId: string,
  generator: GeneratorRow,
  state: RegistrationState,
): Promise<RegistrationRow> {
  requireLive(generator);
  const before = await findRegistration(tx, agentId, generator.id);
  if (before?.state === 'registered' || before?.state === state) return before;
  await upsertRegistration(tx, agentId, generator.id, state);
  if (state === 'registered') {
    await updatePlacements(tx, { agents: [agentId], stacks: null }, '');
    await announce(tx, 'agent', [agentId]);
  }
  const row = await findRegistration(tx, agentId, generator.id);
  if (!row) throw new Error('a registration that was just written is not there');
  return row;
}

/** Registers an agent and sets the service account to impersonate, empty for none, also of a registration that exists. */
export async function registerWithAccount(
  tx: Tx,
  agentId: string,
  generator: GeneratorRow,
  account: string,
): Promise<RegistrationRow> {
  const row = await register(tx, agentId, generator, 'registered');
  if (row.serviceAccount === account) return row;
  await writeServiceAccount(tx, agentId, generator.id, account);
  await updateServiceAccounts(tx, [agentId]);
  await announce(tx, 'agent', [agentId]);
  return { ...row, serviceAccount: account };
}

/** Deregisters an agent: the generator's placements there become removals. The locks must be held. */
export async function deregister(tx: Tx, { agent }: Pair, generator: GeneratorRow, by: string): Promise<void> {
  if (generator.system) {
    throw new Refusal('failed_precondition', 'every agent stays registered with the system generator', {
      field: 'generator',
      reason: 'SYSTEM_REGISTRATION',
    });
  }
  if (!(await deleteRegistration(tx, agent.id, generator.id))) {
    throw new Refusal('not_found', `agent "${agent.name}" is not registered with generator "${generator.name}"`, {
      field: 'generator',
    });
  }
  await updatePlacements(
    tx,
    { agents: [agent.id], stacks: null },
    `the registration with generator "${generator.name}" was removed by ${by}`,
  );
  await announce(tx, 'agent', [agent.id]);
}
