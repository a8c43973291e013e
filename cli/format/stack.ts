import { driftPolicies } from '../../contract/enum-names.ts';
import { type Stack, StackSchema } from '../../gen/brokkr/v1/stack_pb.ts';
import type { View } from '../output/view.ts';
import { ageText, keyOfValue, placementCountsText, placementCountsTone } from './enum-labels.ts';
import { healthCountsText, healthCountsTone } from './health.ts';

/** Names a stack unambiguously: "generator/name". */
export function stackName(stack: Pick<Stack, 'generator' | 'name'>): string {
  return `${stack.generator}/${stack.name}`;
}

/** Prints stacks. */
export const stackView: View<typeof StackSchema> = {
  schema: StackSchema,
  listField: 'stacks',
  name: stackName,
  columns: [
    { title: 'NAME', text: stackName },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    {
      title: 'AGENTS',
      text: ({ placements }) => placementCountsText(placements),
      tone: ({ placements }) => placementCountsTone(placements),
    },
    {
      title: 'HEALTH',
      text: ({ health }) => healthCountsText(health),
      tone: ({ health }) => healthCountsTone(health),
    },
    { title: 'LABELS', text: ({ labels }) => labels.join(','), drop: 1 },
    { title: 'DRIFT', text: ({ drift }) => keyOfValue(driftPolicies, drift), wide: true },
    { title: 'DEPENDS ON', text: ({ dependsOn }) => dependsOn.join(','), wide: true },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime), drop: 2 },
    { title: 'STATUS', text: ({ deleteTime }) => (deleteTime ? 'being deleted' : 'live') },
  ],
};
