import type { MessageInitShape } from '@bufbuild/protobuf';
import type { BrokkrClient } from '../client/client.ts';
import type { Health, ObjectHealthSchema } from '../gen/brokkr/v1/health_pb.ts';
import type { HandAgent } from './hand-agent.ts';

/** What an agent that is driven by hand says about the health of all that it serves. */
export async function reportHealth(
  { agent }: BrokkrClient,
  hand: HandAgent,
  health: Health,
  message = '',
  objects: MessageInitShape<typeof ObjectHealthSchema>[] = [],
): Promise<void> {
  const entries = await hand.pull();
  const stacks = entries.map(({ stackId, deploymentId, generation }) => {
    return { stackId, deploymentId, generation, health, message, objects, objectCount: 3 };
  });
  await agent.reportHealth({ incarnation: hand.incarnation, stacks });
}
