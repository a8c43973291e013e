import { type MintedPak, mintPak } from '../access/issue.ts';
import { lockAgents } from '../placement/lock-store.ts';
import { Refusal } from '../refusal.ts';
import { checkName } from '../resource.ts';
import type { Tx } from '../store/database.ts';
import { announce } from '../store/feed.ts';
import { createAgent, type NewAgent, requireGenerators } from './create.ts';
import { decide } from './enrollment-rules.ts';
import * as store from './enrollment-store.ts';

/**
 * Makes a token with which one agent can make itself. What would be refused then is refused now: a name that is taken, a generator
 * that is missing. An unused token for the same name ends.
 */
export async function createEnrollment(tx: Tx, agent: NewAgent, expiresAt: Date): Promise<MintedPak> {
  checkName(agent.name);
  await requireGenerators(tx, agent.generators);
  if (await store.isNameTaken(tx, agent.name)) {
    throw new Refusal('already_exists', `agent "${agent.name}" exists`, { field: 'name', reason: 'NAME_TAKEN' });
  }
  const minted = await mintPak(tx, { role: 'en', name: agent.name }, { expiresAt });
  await store.insertEnrollment(tx, minted.row.id, agent);
  return minted;
}

/**
 * Makes the agent of a token, once, and its key. The same caller again, as long as the agent has not started, gets another key and
 * the former ends at once: the answer that held it was lost.
 */
export async function enroll(tx: Tx, tokenId: string, nonce: Buffer): Promise<MintedPak & { readonly id: string }> {
  const madeId = await store.lockEnrollment(tx, tokenId);
  // Its first start, which locks the same row, must not come between the look and the new key.
  if (madeId !== null) await lockAgents(tx, [madeId]);
  const enrollment = await store.readEnrollment(tx, tokenId);
  const decision = decide(enrollment, nonce);
  switch (decision.make) {
    case 'agent': {
      const made = await createAgent(tx, enrollment);
      await store.markUsed(tx, tokenId, nonce, made.id);
      return made;
    }
    case 'key':
      return { id: decision.agentId, ...(await mintPak(tx, { role: 'ag', agentId: decision.agentId })) };
  }
}

/** An agent that has started has its key: the token that made it ends. */
export async function endEnrollment(tx: Tx, agentId: string): Promise<void> {
  const ended = await store.endTokenOf(tx, agentId);
  if (ended !== undefined) await announce(tx, 'key', [ended]);
}
