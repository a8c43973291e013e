import { type IssuedPak, issuePak } from '../access/issue.ts';
import { generatorIds, registerNewAgent } from '../generator/registration-store.ts';
import { generatorNotFound } from '../generator/store.ts';
import { lockGenerators } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { checkName } from '../resource.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { systemGenerator } from '../store/installation.ts';
import { editLabels, insertAgent } from './store.ts';

/** The fields of an agent that an admin decides before it exists. */
export interface NewAgent {
  readonly name: string;
  readonly description: string;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Names of generators to register with; the system generator is always added. */
  readonly generators: readonly string[];
}

/** Creates an agent and its key, registers it and places its stacks. Nobody else sees its row yet, so it needs no lock. */
export async function createAgent(tx: Tx, agent: NewAgent): Promise<IssuedPak & { readonly id: string }> {
  checkName(agent.name);
  const ids = await requireGenerators(tx, agent.generators);
  const id = await insertAgent(tx, agent);
  const { labels: addLabels, annotations: setAnnotations } = agent;
  await editLabels(tx, id, { addLabels, setAnnotations, removeLabels: [], removeAnnotations: [] });
  const requested = [...ids.values()];
  await lockGenerators(tx, requested, 'shared');
  if ((await registerNewAgent(tx, id, requested)) < requested.length) {
    throw new Refusal('failed_precondition', 'one of the generators is being deleted', {
      field: 'generators',
      reason: 'DELETED',
    });
  }
  await updatePlacements(tx, { agents: [id], stacks: null }, '');
  await announce(tx, 'agent', [id]);
  return { id, ...(await issuePak(tx, { role: 'ag', agentId: id })) };
}

/** Returns the ids, by name, of the generators of a new agent, the system generator included. NOT_FOUND when one is missing. */
export async function requireGenerators(tx: Tx, generators: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = [...new Set([systemGenerator, ...generators])];
  const ids = await generatorIds(tx, names);
  const unknown = names.find((name) => !ids.has(name));
  if (unknown !== undefined) throw generatorNotFound(unknown);
  return ids;
}
