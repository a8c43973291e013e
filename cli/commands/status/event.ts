import { Option } from 'commander';
import type { Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import { choicesOf, styledOutcomes, valueOfLabel } from '../../format/enum-labels.ts';
import { eventView } from '../../format/event.ts';
import { parseLimit } from '../../options/numbers.ts';
import { printList } from '../../output/output.ts';
import { allPages } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

/** A month of events does not fit a screen; --limit 0 gives it all the same. */
const defaultLimit = 1_000;

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('events')
      .alias('event')
      .description('what agents reported, newest first')
      .option('--stack <stack>', 'only about this stack')
      .option('--agent <agent>', 'only from this agent')
      .addOption(new Option('--outcome <outcome>', 'only of this outcome').choices(choicesOf(styledOutcomes)))
      .option('--limit <count>', 'at most so many; 0 for all', parseLimit, defaultLimit)
      .action(
        withSession(async ({ broker, out }, options: Filter) => {
          const { limit, stack, agent } = options;
          const outcome = valueOfLabel<Outcome>(styledOutcomes, options.outcome);
          const events = await allPages(
            (page) => broker.listEvents({ stack, agent, outcome, ...page }),
            (page) => page.events,
            limit,
          );
          printList(out, eventView, events);
          if (events.length === limit) out.note(`only the newest ${limit}; --limit 0 gives all`);
        }),
      ),
};

interface Filter {
  readonly stack?: string;
  readonly agent?: string;
  readonly outcome?: string;
  readonly limit: number;
}
