import { placementMessage } from '../../../contract/placement-message.ts';
import type { Placement } from '../../../gen/brokkr/v1/placement_pb.ts';
import { type Stack, type WatchStackResponse, WatchStackResponseSchema } from '../../../gen/brokkr/v1/stack_pb.ts';
import { placementCountsText, styledLabelOf, styledPhases } from '../../format/enum-labels.ts';
import { healthCountsText, styledHealths } from '../../format/health.ts';
import { stackName } from '../../format/stack.ts';
import type { Output } from '../../output/output.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printStreamItem } from '../../output/stream-output.ts';
import { followStack, reconnectingMessage } from '../../stream/follow.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  watch: (command) =>
    command
      .argument('<stack>')
      .addHelpText(
        'after',
        '\nShows the current state, then each change, until the stack is deleted or Ctrl-C. -o json prints one message per line.',
      )
      .action(
        withSession(async (session, name: string) => {
          const { stack } = await session.broker.getStack({ stack: name });
          const agents = new Map<string, string>();
          for await (const { update } of followStack(session, stack!.id, {
            onDisconnect: () => session.output.note(reconnectingMessage),
          })) {
            const isKeepalive = !update.stack && update.placements.length + update.goneAgentIds.length === 0;
            if (!isKeepalive)
              printStreamItem(session.output, WatchStackResponseSchema, update, {
                lines: () => linesOf(session.output, update, agents),
                names: () => update.placements.map(({ stack, agent }) => `${stack} ${agent}`),
              });
            for (const { agentId, agent } of update.placements) agents.set(agentId, agent);
          }
          if (session.output.format === 'table') session.output.line(`stack ${stackName(stack!)} is deleted`);
        }),
      ),
};

function linesOf(output: Output, update: WatchStackResponse, agents: ReadonlyMap<string, string>): string[] {
  return [
    ...(update.stack ? [stackLine(update.stack)] : []),
    ...update.placements.map((placement) => placementLine(output, placement)),
    ...update.goneAgentIds.map((id) => `${agents.get(id) ?? id}  removed`),
  ];
}

function stackLine(stack: Stack): string {
  const { revision, placements, deleteTime } = stack;
  const revisionText = deleteTime
    ? 'is being deleted'
    : revision === 0
      ? 'has no objects yet'
      : `is at revision ${revision}`;
  const health = healthCountsText(stack.health);
  const parts = [
    revisionText,
    `agents: ${placementCountsText(placements)}`,
    ...(health === '' ? [] : [`health: ${health}`]),
  ];
  return `${stackName(stack)} ${parts.join('; ')}`;
}

function placementLine(output: Output, placement: Placement): string {
  const { agent, phase, health, desiredRevision, removalReason } = placement;
  const labels = [styledLabelOf(styledPhases, phase), styledLabelOf(styledHealths, health)]
    .filter(({ text }) => text !== '')
    .map(({ text, tone }) => output.paint(tone, text));
  const details = [
    desiredRevision === 0 ? '' : `revision ${desiredRevision}`,
    placementMessage(placement) || removalReason,
  ]
    .filter(Boolean)
    .join(': ');
  return [agent, ...labels, sanitize(details)].join('  ').trimEnd();
}
