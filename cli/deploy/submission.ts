import { create } from '@bufbuild/protobuf';
import { inDefaultNamespace } from '../../contract/default-namespace.ts';
import { objectText } from '../../contract/object-key.ts';
import { type SubmitDeploymentResponse, SubmitDeploymentResponseSchema } from '../../gen/brokkr/v1/deployment_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { deploymentName } from '../format/deployment.ts';
import { pluralize, styledActions, styledLabelOf } from '../format/enum-labels.ts';
import { omittedText } from '../format/health.ts';
import { idOf, objectsOf } from '../manifest/differences.ts';
import type { Output } from '../output/output.ts';
import { sanitize } from '../output/sanitize.ts';
import { printOne } from '../output/view.ts';
import type { SubmissionSpec } from './apply.ts';

/** Lists the agents that serve the stack of a submission: "served by 2 agents (a, b)". */
export function servingAgentsText({ agents, agentCount }: SubmitDeploymentResponse): string {
  const more = agentCount > agents.length ? ', …' : '';
  const names = agents.length === 0 ? '' : ` (${agents.join(', ')}${more})`;
  return `served by ${pluralize(agentCount, 'agent')}${names}`;
}

/** Prints the broker's response in a form for programs. */
export function printSubmission(output: Output, response: SubmitDeploymentResponse): void {
  const name = () => (response.deployment ? deploymentName(response.deployment) : '');
  printOne(output, { schema: SubmitDeploymentResponseSchema, name }, response, () => {});
}

/** Counts objects and changes: "3 objects, 2 changes". */
export function changesText({ changes, deployment }: SubmitDeploymentResponse): string {
  const objects = deployment ? `${pluralize(deployment.objectCount, 'object')}, ` : '';
  return `${objects}${pluralize(changes.length, 'change')}`;
}

/** Prints the change of each object in a line for people. */
export function printChanges(output: Output, { changes }: SubmitDeploymentResponse): void {
  const listed = output.wide ? changes : changes.slice(0, maxListedChanges);
  for (const { object, action, fields } of listed) {
    const { symbol = '?', tone } = styledLabelOf(styledActions, action);
    const line = `  ${symbol} ${sanitize(objectText(object))}`;
    const fieldText = fields.length === 0 ? '' : `  ${output.paint('dim', sanitize(fields.join(' ')))}`;
    output.line(`${output.paint(tone, line)}${fieldText}`);
  }
  const more = omittedText(listed.length, changes.length);
  if (more !== '') output.line(`  ${more}: -o wide shows all`);
}

/** More lines than this would hide the result. */
const maxListedChanges = 50;

/** Previews a submission to a stack that does not exist: every object would be created. */
export function previewOfNew({
  submission,
  namespace = '',
}: Pick<SubmissionSpec, 'submission' | 'namespace'>): SubmitDeploymentResponse {
  const changes = inDefaultNamespace(objectsOf(submission.bytes), namespace).map((object) => ({
    object: idOf(object),
    action: ObjectAction.CREATED,
  }));
  return create(SubmitDeploymentResponseSchema, { changes, namespace });
}
