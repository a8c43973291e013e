import { RegistrationSchema } from '../../gen/brokkr/v1/generator_pb.ts';
import type { View } from '../output/output.ts';
import { ageText, labelOf, registrationStateLabels } from './enum-labels.ts';

export const registrationView: View<typeof RegistrationSchema> = {
  schema: RegistrationSchema,
  listField: 'registrations',
  name: ({ agent, generator }) => `${agent} ${generator}`,
  columns: [
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'GENERATOR', text: ({ generator }) => generator },
    {
      title: 'STATE',
      text: ({ state }) => labelOf(registrationStateLabels, state).text,
      tone: ({ state }) => labelOf(registrationStateLabels, state).tone,
    },
    { title: 'ACCOUNT', text: ({ serviceAccount }) => serviceAccount },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
  ],
};
