import { Option } from 'commander';
import { objectText } from '../../../contract/object-key.ts';
import { EventSchema, type Outcome } from '../../../gen/brokkr/v1/event_pb.ts';
import type { ObjectChange } from '../../../gen/brokkr/v1/object_pb.ts';
import { type Verbs, withSession } from '../../command.ts';
import { actions, age, choicesOf, outcomes, valueFor, wordOf } from '../../format/enum-labels.ts';
import { parseLimit } from '../../options/numbers.ts';
import { printList, type View } from '../../output/output.ts';
import { allPages } from '../../session/pages.ts';

export const eventView: View<typeof EventSchema> = {
  schema: EventSchema,
  plural: 'events',
  name: ({ agent, incarnation, sequence }) => `${agent}/${incarnation}/${sequence}`,
  columns: [
    { title: 'AGE', text: ({ receiveTime }) => age(receiveTime) },
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    {
      title: 'OUTCOME',
      text: ({ outcome }) => wordOf(outcomes, outcome).word,
      tone: ({ outcome }) => wordOf(outcomes, outcome).tone,
    },
    { title: 'MESSAGE', text: ({ message }) => message },
    { title: 'OBJECTS', text: ({ objects }) => objects.map(changeText).join('; '), wide: true },
  ],
};

/** "configured ConfigMap shop/a .data.open (changed by kubectl)". */
function changeText({ object, action, fields, message }: ObjectChange): string {
  const about = message === '' ? '' : `(${message})`;
  const parts = [wordOf(actions, action).word, objectText(object), ...fields, about];
  return parts.filter((part) => part !== '').join(' ');
}

/** A month of events does not fit a screen; --limit 0 gives it all the same. */
const usualLimit = 1_000;

export const verbs: Verbs = {
  get: (command) =>
    command
      .command('events')
      .alias('event')
      .description('what agents reported, newest first')
      .option('--stack <stack>', 'only about this stack')
      .option('--agent <agent>', 'only from this agent')
      .addOption(new Option('--outcome <outcome>', 'only of this outcome').choices(choicesOf(outcomes)))
      .option('--limit <count>', 'at most so many; 0 for all', parseLimit, usualLimit)
      .action(
        withSession(async ({ broker, out }, options: Filter) => {
          const { limit, stack, agent } = options;
          const outcome = valueFor<Outcome>(outcomes, options.outcome);
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
