import { type Deployment, DeploymentSchema } from '../../gen/brokkr/v1/deployment_pb.ts';
import type { View } from '../output/view.ts';
import { ageText } from './enum-labels.ts';

/** Names a deployment as `describe deployment` and `get deployments` accept it: "generator/name@revision". */
export function deploymentName({ stack, revision }: Pick<Deployment, 'stack' | 'revision'>): string {
  return `${stack}@${revision}`;
}

/** Prints deployments. */
export const deploymentView: View<typeof DeploymentSchema> = {
  schema: DeploymentSchema,
  listField: 'deployments',
  name: deploymentName,
  columns: [
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'REVISION', text: ({ revision }) => String(revision) },
    { title: 'CURRENT', text: ({ current }) => (current ? 'yes' : ''), tone: () => 'good' },
    { title: 'OBJECTS', text: ({ objectCount }) => String(objectCount), drop: 2 },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
    { title: 'BY', text: ({ createdBy }) => createdBy, drop: 1 },
    { title: 'MESSAGE', text: ({ message }) => message, prose: true },
  ],
};
