import type { Placement } from '../../gen/brokkr/v1/placement_pb.ts';
import { type Stack, type WatchStackResponse, WatchStackResponseSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import { type Verbs, withSession } from '../command.ts';
import { type Followed, followStack } from '../follow.ts';
import { jsonOf, type Output, printable, printJson } from '../output.ts';
import { countsText, phases, wordOf } from '../words.ts';
import { stackName } from './stack.ts';

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
          for await (const followed of followStack(session, stack!.id)) {
            const { news } = followed;
            const isKeepalive = !news.stack && news.placements.length + news.goneAgentIds.length === 0;
            if (!isKeepalive) tell(session.out, followed, agents);
            for (const { agentId, agent } of news.placements) agents.set(agentId, agent);
          }
          if (session.out.form === 'table') session.out.line(`stack ${stackName(stack!)} is gone`);
        }),
      ),
};

function tell(out: Output, { news }: Followed, agents: ReadonlyMap<string, string>): void {
  switch (out.form) {
    case 'json':
      out.line(JSON.stringify(jsonOf(WatchStackResponseSchema, news)));
      break;
    case 'yaml':
      out.line('---');
      printJson(out, jsonOf(WatchStackResponseSchema, news));
      break;
    case 'name':
      for (const { stack, agent } of news.placements) out.line(`${stack} ${agent}`);
      break;
    case 'table':
      for (const line of linesOf(out, news, agents))
        out.line(`${out.paint('dim', new Date().toISOString().slice(11, 19))}  ${line}`);
  }
}

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
  return `${stackName(stack)} ${what}; agents: ${countsText(placements)}`;
}

function placementLine(out: Output, { agent, phase, desiredRevision, message, removalReason }: Placement): string {
  const { word, tone } = wordOf(phases, phase);
  const about = [desiredRevision === 0 ? '' : `revision ${desiredRevision}`, message || removalReason]
    .filter(Boolean)
    .join(': ');
  return `${agent}  ${tone === undefined ? word : out.paint(tone, word)}  ${printable(about)}`.trimEnd();
}
