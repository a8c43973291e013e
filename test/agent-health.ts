import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Health, ObjectHealthSchema } from '../gen/brokkr/v1/health_pb.ts';
import type { TestAgent } from './agents.ts';

/** Reports the health of every stack that the agent serves. */
export async function reportHealth(
  agent: TestAgent,
  health: Health,
  message = '',
  objects: MessageInitShape<typeof ObjectHealthSchema>[] = [],
): Promise<void> {
  const { entries } = await agent.pull();
  const stacks = entries.map(({ stackId, deploymentId, generation }) => {
    return { stackId, deploymentId, generation, health, message, objects, objectCount: 3 };
  });
  await agent.client.agent.reportHealth({ incarnation: agent.incarnation, stacks });
}
