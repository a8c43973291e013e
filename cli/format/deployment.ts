import { type Deployment, DeploymentSchema } from '../../gen/brokkr/v1/deployment_pb.ts';
import type { View } from '../output/output.ts';
import { ageText } from './enum-labels.ts';

/** "generator/name@revision": what `describe deployment` and `get deployments` take. */
export function deploymentName({ stack, revision }: Pick<Deployment, 'stack' | 'revision'>): string {
  return `${stack}@${revision}`;
}

export const deploymentView: View<typeof DeploymentSchema> = {
  schema: DeploymentSchema,
  listField: 'deployments',
  name: deploymentName,
  columns: [
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'REVISION', text: ({ revision }) => String(revision) },
    { title: 'CURRENT', text: ({ current }) => (current ? 'yes' : ''), tone: () => 'good' },
    { title: 'OBJECTS', text: ({ objectCount }) => String(objectCount) },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
    { title: 'BY', text: ({ createdBy }) => createdBy },
    { title: 'MESSAGE', text: ({ message }) => message },
  ],
};
