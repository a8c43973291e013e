import type { Placement } from '../../../gen/brokkr/v1/placement_pb.ts';
import { type Stack, type WatchStackResponse, WatchStackResponseSchema } from '../../../gen/brokkr/v1/stack_pb.ts';
import { placementCountsText, styledLabelOf, styledPhases } from '../../format/enum-labels.ts';
import { healthCountsText, styledHealths } from '../../format/health.ts';
import { placementMessage } from '../../format/placement.ts';
import { stackName } from '../../format/stack.ts';
import { type Output, sanitize } from '../../output/output.ts';
import { printStreamItem } from '../../output/stream-output.ts';
import { followStack, reconnectingMessage } from '../../stream/follow.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  watch: (command) =>
    command
      .argument('<stack>')
      .addHelpText(
        'after',
        '\nFirst everything as it is, then what changes, until the stack is gone or Ctrl-C. -o json: a line each.',
      )
      .action(
        withSession(async (session, name: string) => {
          const { stack } = await session.broker.getStack({ stack: name });
          const agents = new Map<string, string>();
          for await (const { update } of followStack(session, stack!.id, {
            onDisconnect: () => session.out.note(reconnectingMessage),
          })) {
            const isKeepalive = !update.stack && update.placements.length + update.goneAgentIds.length === 0;
            if (!isKeepalive)
              printStreamItem(session.out, WatchStackResponseSchema, update, {
                lines: () => linesOf(session.out, update, agents),
                names: () => update.placements.map(({ stack, agent }) => `${stack} ${agent}`),
              });
            for (const { agentId, agent } of update.placements) agents.set(agentId, agent);
          }
          if (session.out.format === 'table') session.out.line(`stack ${stackName(stack!)} is gone`);
        }),
      ),
};

function linesOf(out: Output, update: WatchStackResponse, agents: ReadonlyMap<string, string>): string[] {
  return [
    ...(update.stack ? [stackLine(update.stack)] : []),
    ...update.placements.map((placement) => placementLine(out, placement)),
    ...update.goneAgentIds.map((id) => `${agents.get(id) ?? id}  gone`),
  ];
}

function stackLine(stack: Stack): string {
  const { revision, placements, deleteTime } = stack;
  const what = deleteTime ? 'is being deleted' : revision === 0 ? 'has no objects yet' : `is at revision ${revision}`;
  const health = healthCountsText(stack.health);
  const told = [what, `agents: ${placementCountsText(placements)}`, ...(health === '' ? [] : [`health: ${health}`])];
  return `${stackName(stack)} ${told.join('; ')}`;
}

function placementLine(out: Output, placement: Placement): string {
  const { agent, phase, health, desiredRevision, removalReason } = placement;
  const said = [styledLabelOf(styledPhases, phase), styledLabelOf(styledHealths, health)]
    .filter(({ text }) => text !== '')
    .map(({ text, tone }) => out.paint(tone, text));
  const about = [
    desiredRevision === 0 ? '' : `revision ${desiredRevision}`,
    placementMessage(placement) || removalReason,
  ]
    .filter(Boolean)
    .join(': ');
  return [agent, ...said, sanitize(about)].join('  ').trimEnd();
}
