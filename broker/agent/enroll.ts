import { type IssuedPak, issuePak } from '../access/issue.ts';
import { lockAgents } from '../placement/lock-store.ts';
import { Refusal } from '../refusal.ts';
import { checkName } from '../resource.ts';
import type { Tx } from '../store/database.ts';
import { createAgent, type NewAgent, requireGenerators } from './create.ts';
import { decideEnrollment } from './enrollment-rules.ts';
import * as store from './enrollment-store.ts';

/**
 * Issues a token with which one agent can create itself. What would be refused then is refused now: a name that is taken, a missing
 * generator. An unused token for the same name ends.
 */
export async function createEnrollment(tx: Tx, agent: NewAgent, expiresAt: Date): Promise<IssuedPak> {
  checkName(agent.name);
  await requireGenerators(tx, agent.generators);
  if (await store.isNameTaken(tx, agent.name)) {
    throw new Refusal('already_exists', `agent "${agent.name}" exists`, { field: 'name', reason: 'NAME_TAKEN' });
  }
  const issued = await issuePak(tx, { role: 'en', name: agent.name }, { expiresAt });
  await store.insertEnrollment(tx, issued.row.id, agent);
  return issued;
}

/**
 * Creates the agent of a token, once, and its key. While that agent has not started, the same caller gets another key when it calls
 * again, and the former key ends at once: the answer with it was lost.
 */
export async function enroll(tx: Tx, tokenId: string, nonce: Buffer): Promise<IssuedPak & { readonly id: string }> {
  const createdId = await store.lockEnrollment(tx, tokenId);
  // The agent's first start locks the same row, so it cannot come between the read and the new key.
  if (createdId !== null) await lockAgents(tx, [createdId]);
  const enrollment = await store.readEnrollment(tx, tokenId);
  const decision = decideEnrollment(enrollment, nonce);
  switch (decision.create) {
    case 'agent': {
      const created = await createAgent(tx, enrollment);
      await store.markUsed(tx, tokenId, nonce, created.id);
      return created;
    }
    case 'key':
      return { id: decision.agentId, ...(await issuePak(tx, { role: 'ag', agentId: decision.agentId })) };
  }
}
