import { create } from '@bufbuild/protobuf';
import { objectText } from '../../contract/object-key.ts';
import { type SubmitDeploymentResponse, SubmitDeploymentResponseSchema } from '../../gen/brokkr/v1/deployment_pb.ts';
import { ObjectAction } from '../../gen/brokkr/v1/object_pb.ts';
import { deploymentName } from '../format/deployment.ts';
import { actions, count, wordOf } from '../format/enum-labels.ts';
import { moreText } from '../format/health.ts';
import { idOf, objectsOf } from '../manifest/differences.ts';
import { type Output, printable, printOne } from '../output/output.ts';
import type { Objects } from './apply.ts';

/** Which agents a submission is for. */
export function servedText({ agents, agentCount }: SubmitDeploymentResponse): string {
  const more = agentCount > agents.length ? ', …' : '';
  const names = agents.length === 0 ? '' : ` (${agents.join(', ')}${more})`;
  return `served by ${count(agentCount, 'agent')}${names}`;
}

/** The broker's answer for programs. */
export function printSubmission(out: Output, answer: SubmitDeploymentResponse): void {
  const name = () => (answer.deployment ? deploymentName(answer.deployment) : '');
  printOne(out, { schema: SubmitDeploymentResponseSchema, name }, answer, () => {});
}

/** "3 objects, 2 changes" */
export function changesText({ changes, deployment }: SubmitDeploymentResponse): string {
  const objects = deployment ? `${count(deployment.objectCount, 'object')}, ` : '';
  return `${objects}${count(changes.length, 'change')}`;
}

/** What is done to each object, for people. */
export function printChanges(out: Output, { changes }: SubmitDeploymentResponse): void {
  const shown = out.wide ? changes : changes.slice(0, listedChanges);
  for (const { object, action, fields } of shown) {
    const { sign = '?', tone } = wordOf(actions, action);
    const line = `  ${sign} ${printable(objectText(object))}`;
    const about = fields.length === 0 ? '' : `  ${out.paint('dim', printable(fields.join(' ')))}`;
    out.line(`${out.paint(tone, line)}${about}`);
  }
  const more = moreText(shown.length, changes.length);
  if (more !== '') out.line(`  ${more}: -o wide shows all`);
}

/** What people read; a few thousand would only hide how it went. */
const listedChanges = 50;

/** Of a stack that is not there: everything would be new. */
export function previewOfNew({ submission }: Pick<Objects, 'submission'>): SubmitDeploymentResponse {
  const changes = objectsOf(submission.bytes).map((object) => ({
    object: idOf(object),
    action: ObjectAction.CREATED,
  }));
  return create(SubmitDeploymentResponseSchema, { changes });
}
