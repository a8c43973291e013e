import { RegistrationSchema } from '../../gen/brokkr/v1/generator_pb.ts';
import type { View } from '../output/output.ts';
import { age, registrationStates, wordOf } from './enum-labels.ts';

export const registrationView: View<typeof RegistrationSchema> = {
  schema: RegistrationSchema,
  plural: 'registrations',
  name: ({ agent, generator }) => `${agent} ${generator}`,
  columns: [
    { title: 'AGENT', text: ({ agent }) => agent },
    { title: 'GENERATOR', text: ({ generator }) => generator },
    {
      title: 'STATE',
      text: ({ state }) => wordOf(registrationStates, state).word,
      tone: ({ state }) => wordOf(registrationStates, state).tone,
    },
    { title: 'ACCOUNT', text: ({ serviceAccount }) => serviceAccount },
    { title: 'AGE', text: ({ createTime }) => age(createTime) },
  ],
};
