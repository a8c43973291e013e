import { RegistrationSchema } from '../../gen/brokkr/v1/generator_pb.ts';
import type { View } from '../output/view.ts';
import { ageText, styledLabelOf, styledRegistrationStates } from './enum-labels.ts';

/** Prints registrations. */
export const registrationView: View<typeof RegistrationSchema> = {
  schema: RegistrationSchema,
  listField: 'registrations',
  name: ({ agent, generator }) => `${agent} ${generator}`,
  columns: [
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'GENERATOR', text: ({ generator }) => generator },
    {
      title: 'STATE',
      text: ({ state }) => styledLabelOf(styledRegistrationStates, state).text,
      tone: ({ state }) => styledLabelOf(styledRegistrationStates, state).tone,
    },
    { title: 'ACCOUNT', text: ({ serviceAccount }) => serviceAccount, drop: 1 },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
  ],
};
