import { objectText } from '../../../contract/object-key.ts';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { Status } from '../components/status.tsx';
import { actionLabels, countText, labelOf } from '../enum-labels.ts';

/** Shows what a submission would change, and on which agents. */
export function Preview({ answer }: { answer: SubmitDeploymentResponse }) {
  const { agents, agentCount, changes, unchanged } = answer;
  const more = agentCount - Math.min(agents.length, 12);
  return (
    <section className="preview" aria-label="Preview">
      <p>
        {unchanged ? <strong>Nothing changes.</strong> : <strong>{countText(changes.length, 'change')}</strong>}{' '}
        {agentCount === 0
          ? 'No agent serves this stack yet.'
          : `On ${countText(agentCount, 'agent')}: ${agents.slice(0, 12).join(', ')}${more > 0 ? ` and ${more} more` : ''}.`}
      </p>
      {changes.length > 0 && (
        <ul className="changes">
          {changes.slice(0, 200).map(({ object, action, fields }) => (
            <li key={objectText(object)}>
              <Status label={labelOf(actionLabels, action)} /> <code>{objectText(object)}</code>
              {fields.length > 0 && <span className="faint">{fields.join(', ')}</span>}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
