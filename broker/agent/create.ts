import { type MintedPak, mintPak } from '../access/issue.ts';
import { generatorIds, registerNewAgent } from '../generator/registration-store.ts';
import { missingGenerator } from '../generator/store.ts';
import { lockGenerators } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { Refusal } from '../refusal.ts';
import { checkName } from '../resource.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { systemGenerator } from '../store/installation.ts';
import { editAgent, insertAgent } from './store.ts';

export interface NewAgent {
  readonly name: string;
  readonly description: string;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  /** Names; the system generator is always one of them. */
  readonly generators: readonly string[];
}

/** Makes an agent, registered and placed, and its key. Nobody else sees its row yet, so the row needs no lock. */
export async function createAgent(tx: Tx, agent: NewAgent): Promise<MintedPak & { readonly id: string }> {
  checkName(agent.name);
  const ids = await requireGenerators(tx, agent.generators);
  const id = await insertAgent(tx, agent);
  const { labels: addLabels, annotations: setAnnotations } = agent;
  await editAgent(tx, id, { addLabels, setAnnotations, removeLabels: [], removeAnnotations: [] });
  const wanted = [...ids.values()];
  await lockGenerators(tx, wanted, 'shared');
  if ((await registerNewAgent(tx, id, wanted)) < wanted.length) {
    throw new Refusal('failed_precondition', 'one of the generators is being deleted', {
      field: 'generators',
      reason: 'DELETED',
    });
  }
  await updatePlacements(tx, { agents: [id], stacks: null }, '');
  await announce(tx, 'agent', [id]);
  return { id, ...(await mintPak(tx, { role: 'ag', agentId: id })) };
}

/** Ids by name of the generators that a new agent is to have, the system generator among them. NOT_FOUND when one is missing. */
export async function requireGenerators(tx: Tx, generators: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const names = [...new Set([systemGenerator, ...generators])];
  const ids = await generatorIds(tx, names);
  const unknown = names.find((name) => !ids.has(name));
  if (unknown !== undefined) throw missingGenerator(unknown);
  return ids;
}
