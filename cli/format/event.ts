import { objectText } from '../../contract/object-key.ts';
import { EventSchema } from '../../gen/brokkr/v1/event_pb.ts';
import type { ObjectChange } from '../../gen/brokkr/v1/object_pb.ts';
import type { View } from '../output/view.ts';
import { ageText, styledActions, styledLabelOf, styledOutcomes } from './enum-labels.ts';

/** Prints events. */
export const eventView: View<typeof EventSchema> = {
  schema: EventSchema,
  listField: 'events',
  name: ({ agent, incarnation, sequence }) => `${agent}/${incarnation}/${sequence}`,
  columns: [
    { title: 'AGE', text: ({ receiveTime }) => ageText(receiveTime) },
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)), drop: 1 },
    {
      title: 'OUTCOME',
      text: ({ outcome }) => styledLabelOf(styledOutcomes, outcome).text,
      tone: ({ outcome }) => styledLabelOf(styledOutcomes, outcome).tone,
    },
    { title: 'MESSAGE', text: ({ message }) => message, prose: true },
    { title: 'OBJECTS', text: ({ objects }) => objects.map(changeText).join('; '), wide: true, prose: true },
  ],
};

/** Describes a change: "configured ConfigMap shop/a .data.open (changed by kubectl)". */
function changeText({ object, action, fields, message }: ObjectChange): string {
  const note = message === '' ? '' : `(${message})`;
  const parts = [styledLabelOf(styledActions, action).text, objectText(object), ...fields, note];
  return parts.filter((part) => part !== '').join(' ');
}
