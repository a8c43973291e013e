import { create } from '@bufbuild/protobuf';
import { objectText } from '../../contract/object-key.ts';
import { type SubmitDeploymentResponse, SubmitDeploymentResponseSchema } from '../../gen/brokkr/v1/deployment_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { deploymentName } from '../format/deployment.ts';
import { pluralize, styledActions, styledLabelOf } from '../format/enum-labels.ts';
import { omittedText } from '../format/health.ts';
import { idOf, objectsOf } from '../manifest/differences.ts';
import { type Output, printOne, sanitize } from '../output/output.ts';
import type { SubmissionSpec } from './apply.ts';

/** Which agents a submission is for. */
export function servingAgentsText({ agents, agentCount }: SubmitDeploymentResponse): string {
  const more = agentCount > agents.length ? ', …' : '';
  const names = agents.length === 0 ? '' : ` (${agents.join(', ')}${more})`;
  return `served by ${pluralize(agentCount, 'agent')}${names}`;
}

/** The broker's answer for programs. */
export function printSubmission(out: Output, answer: SubmitDeploymentResponse): void {
  const name = () => (answer.deployment ? deploymentName(answer.deployment) : '');
  printOne(out, { schema: SubmitDeploymentResponseSchema, name }, answer, () => {});
}

/** "3 objects, 2 changes" */
export function changesText({ changes, deployment }: SubmitDeploymentResponse): string {
  const objects = deployment ? `${pluralize(deployment.objectCount, 'object')}, ` : '';
  return `${objects}${pluralize(changes.length, 'change')}`;
}

/** What is done to each object, for people. */
export function printChanges(out: Output, { changes }: SubmitDeploymentResponse): void {
  const shown = out.wide ? changes : changes.slice(0, maxListedChanges);
  for (const { object, action, fields } of shown) {
    const { symbol = '?', tone } = styledLabelOf(styledActions, action);
    const line = `  ${symbol} ${sanitize(objectText(object))}`;
    const about = fields.length === 0 ? '' : `  ${out.paint('dim', sanitize(fields.join(' ')))}`;
    out.line(`${out.paint(tone, line)}${about}`);
  }
  const more = omittedText(shown.length, changes.length);
  if (more !== '') out.line(`  ${more}: -o wide shows all`);
}

/** What people read; a few thousand would only hide how it went. */
const maxListedChanges = 50;

/** Of a stack that is not there: everything would be new. */
export function previewOfNew({ submission }: Pick<SubmissionSpec, 'submission'>): SubmitDeploymentResponse {
  const changes = objectsOf(submission.bytes).map((object) => ({
    object: idOf(object),
    action: ObjectAction.CREATED,
  }));
  return create(SubmitDeploymentResponseSchema, { changes });
}
