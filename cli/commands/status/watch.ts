import type { Placement } from '../../../gen/brokkr/v1/placement_pb.ts';
import { type Stack, type WatchStackResponse, WatchStackResponseSchema } from '../../../gen/brokkr/v1/stack_pb.ts';
import { countsText, phases, wordOf } from '../../format/enum-labels.ts';
import { healthCountsText, healths } from '../../format/health.ts';
import { messageOf } from '../../format/placement.ts';
import { stackName } from '../../format/stack.ts';
import { type Output, printable } from '../../output/output.ts';
import { printNews } from '../../output/stream-output.ts';
import { followStack, reconnecting } from '../../stream/follow.ts';
import { type Verbs, withSession } from '../command.ts';

export const verbs: Verbs = {
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
          for await (const { news } of followStack(session, stack!.id, {
            broken: () => session.out.note(reconnecting),
          })) {
            const isKeepalive = !news.stack && news.placements.length + news.goneAgentIds.length === 0;
            if (!isKeepalive)
              printNews(session.out, WatchStackResponseSchema, news, {
                lines: () => linesOf(session.out, news, agents),
                names: () => news.placements.map(({ stack, agent }) => `${stack} ${agent}`),
              });
            for (const { agentId, agent } of news.placements) agents.set(agentId, agent);
          }
          if (session.out.form === 'table') session.out.line(`stack ${stackName(stack!)} is gone`);
        }),
      ),
};

function linesOf(out: Output, news: WatchStackResponse, agents: ReadonlyMap<string, string>): string[] {
  return [
    ...(news.stack ? [stackLine(news.stack)] : []),
    ...news.placements.map((placement) => placementLine(out, placement)),
    ...news.goneAgentIds.map((id) => `${agents.get(id) ?? id}  gone`),
  ];
}

function stackLine(stack: Stack): string {
  const { revision, placements, deleteTime } = stack;
  const what = deleteTime ? 'is being deleted' : revision === 0 ? 'has no objects yet' : `is at revision ${revision}`;
  const health = healthCountsText(stack.health);
  const told = [what, `agents: ${countsText(placements)}`, ...(health === '' ? [] : [`health: ${health}`])];
  return `${stackName(stack)} ${told.join('; ')}`;
}

function placementLine(out: Output, placement: Placement): string {
  const { agent, phase, health, desiredRevision, removalReason } = placement;
  const said = [wordOf(phases, phase), wordOf(healths, health)]
    .filter(({ word }) => word !== '')
    .map(({ word, tone }) => out.paint(tone, word));
  const about = [desiredRevision === 0 ? '' : `revision ${desiredRevision}`, messageOf(placement) || removalReason]
    .filter(Boolean)
    .join(': ');
  return [agent, ...said, printable(about)].join('  ').trimEnd();
}
