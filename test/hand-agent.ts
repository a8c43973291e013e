import { randomUUID } from 'node:crypto';
import type { BrokkrClient } from '../client/client.ts';
import { Outcome, Receipt } from '../gen/brokkr/v1/event_pb.ts';
import { PlacementState } from '../gen/brokkr/v1/placement_pb.ts';
import type { TargetEntry } from '../gen/brokkr/v1/target_state_pb.ts';

/** An agent whose every step a test takes: it asks and reports over the real contract, and has no cluster. */
export interface HandAgent {
  readonly incarnation: bigint;
  /** Everything it is told, at once. */
  pull(): Promise<readonly TargetEntry[]>;
  /** Reports about one entry; refuses to go on when the broker does not take it. */
  report(entry: TargetEntry, outcome: Outcome, message?: string): Promise<void>;
  /** Says of everything that it is applied or removed, as it is told; returns how many entries there were. */
  obey(): Promise<number>;
}

/** Starts the agent that the client's key belongs to. */
export async function startHandAgent({ agent }: BrokkrClient): Promise<HandAgent> {
  const started = await agent.startAgent({ clusterId: randomUUID(), version: 'test', kubernetesVersion: 'v1.36.3' });
  const { incarnation, epoch } = started;
  let sequence = 0n;
  await agent.heartbeat({ incarnation });
  const pull = async () => (await agent.pullTargetState({ incarnation, epoch })).entries;
  const report: HandAgent['report'] = async (entry, outcome, message = '') => {
    sequence += 1n;
    const { stackId, deploymentId, generation, order } = entry;
    const checksum = Buffer.from(entry.checksum).toString('hex');
    const event = { sequence, stackId, deploymentId, checksum, generation, order, outcome, message };
    const { receipts } = await agent.reportEvents({ incarnation, events: [event] });
    const [receipt] = receipts;
    if (receipt?.receipt !== Receipt.ACCEPTED) throw new Error(`the event is not taken: ${receipt?.reason}`);
  };
  return {
    incarnation,
    pull,
    report,
    obey: async () => {
      const entries = await pull();
      for (const entry of entries) {
        const removing = entry.state === PlacementState.REMOVING;
        if (removing || entry.deploymentId !== '')
          await report(entry, removing ? Outcome.REMOVED : Outcome.APPLIED, removing ? 'removed' : 'applied');
      }
      return entries.length;
    },
  };
}
