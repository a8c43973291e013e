import { ownerOf, type Principal } from '../access/principal.ts';
import { requireLive, requireRoomForStack } from '../generator/rules.ts';
import { generatorById, generatorIdByName, generatorNotFound } from '../generator/store.ts';
import { lockGenerators } from '../placement/lock-store.ts';
import { updatePlacements } from '../placement/match-store.ts';
import { checkName } from '../resource.ts';
import { announce } from '../store/feed.ts';
import { systemGenerator } from '../store/installation.ts';
import type { Tx } from '../store/orm.ts';
import { setDependencies } from './dependencies.ts';
import type { Selector, Settings, StackRow } from './rules.ts';
import { countStacks, insertStack, requireStack } from './store.ts';

export interface NewStack {
  readonly name: string;
  /** Name; empty for the caller's own generator, or for an admin the system generator. */
  readonly generator: string;
  readonly settings: Settings;
  readonly labels: readonly string[];
  readonly annotations: Readonly<Record<string, string>>;
  readonly selector: Selector | undefined;
  readonly dependsOn: readonly string[];
}

/** Creates a stack and places it. ALREADY_EXISTS when the name is taken, RESOURCE_EXHAUSTED when the generator's quota is used up. */
export async function createStack(tx: Tx, principal: Principal, stack: NewStack): Promise<StackRow> {
  checkName(stack.name);
  const generatorId = await generatorIdFor(tx, principal, stack.generator);
  await lockGenerators(tx, [generatorId], 'exclusive');
  const generator = await generatorById(tx, generatorId);
  requireLive(generator);
  requireRoomForStack(generator, await countStacks(tx, generatorId));
  const id = await insertStack(tx, { ...stack, generatorId });
  await setDependencies(tx, { id, generatorId, generator: generator.name }, stack.dependsOn);
  await updatePlacements(tx, { agents: null, stacks: [id] }, '');
  await announce(tx, 'stack', [id]);
  return requireStack(tx, id);
}

async function generatorIdFor(tx: Tx, principal: Principal, name: string): Promise<string> {
  const owner = ownerOf(principal);
  if (owner === null) return generatorIdByName(tx, name || systemGenerator);
  if (name !== '' && name !== principal.ownerName) throw generatorNotFound(name);
  return owner;
}
