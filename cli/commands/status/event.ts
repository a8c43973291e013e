import { Option } from 'commander';
import type { Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import { choicesOf, styledOutcomes, valueOfLabel } from '../../format/enum-labels.ts';
import { eventView } from '../../format/event.ts';
import { parseLimit } from '../../options/numbers.ts';
import { printList } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

/** Events shown by default; --limit 0 shows all. */
const defaultLimit = 1_000;

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('events')
      .alias('event')
      .description('events that agents reported, newest first')
      .option('--stack <stack>', 'only those of this stack')
      .option('--agent <agent>', 'only those of this agent')
      .addOption(new Option('--outcome <outcome>', 'only those with this outcome').choices(choicesOf(styledOutcomes)))
      .option('--limit <count>', 'maximum number to show; 0 for all', parseLimit, defaultLimit)
      .action(
        withSession(async ({ broker, output }, options: Filter) => {
          const { limit, stack, agent } = options;
          const outcome = valueOfLabel<Outcome>(styledOutcomes, options.outcome);
          const events = await allPages(
            (page) => broker.listEvents({ stack, agent, outcome, ...page }),
            (page) => page.events,
            limit,
          );
          printList(output, eventView, events);
          if (events.length === limit) output.note(`showing only the newest ${limit}; --limit 0 shows all`);
        }),
      ),
};

interface Filter {
  readonly stack?: string;
  readonly agent?: string;
  readonly outcome?: string;
  readonly limit: number;
}
