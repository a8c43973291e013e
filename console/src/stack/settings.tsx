import { useState } from 'react';
import { type LabelSelector, SelectorOperator, type Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Labels } from '../components/status.tsx';
import { Facts } from '../components/view-header.tsx';
import { Link, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import {
  ChangeSettings,
  conflictNames,
  driftNames,
  onDeleteNames,
  replaceChoice,
  replaceNames,
} from './change-settings.tsx';

const operators: Readonly<Record<SelectorOperator, string>> = {
  [SelectorOperator.UNSPECIFIED]: '?',
  [SelectorOperator.IN]: 'in',
  [SelectorOperator.NOT_IN]: 'not in',
  [SelectorOperator.EXISTS]: 'exists',
  [SelectorOperator.DOES_NOT_EXIST]: 'does not exist',
};

/** Shows which agents serve a stack, and its settings. */
export function Settings({ stack }: { stack: Stack }) {
  const { broker, canWrite } = useSession();
  const [removedTarget, setRemovedTarget] = useState<string>();
  const [changing, setChanging] = useState<Stack>();
  const name = `${stack.generator}/${stack.name}`;
  return (
    <>
      <Facts
        facts={[
          ['Labels', stack.labels.length === 0 ? 'none' : <Labels key="labels" labels={stack.labels} limit={20} />],
          ...Object.entries(stack.annotations).map(([key, value]) => [`Annotation ${key}`, value] as const),
          ['Selector', selectorText(stack.selector)],
          ['Drift', driftNames[stack.drift]],
          ['Existing objects of others', conflictNames[stack.conflict]],
          ['Fields that may not be changed', replaceNames[replaceChoice(stack.forceReplace)]],
          ['Objects when the stack is removed', onDeleteNames[stack.onDelete]],
          [
            'Ignored fields',
            stack.ignoredFields
              .flatMap(({ kind, name: of, paths }) => paths.map((path) => [kind, of].filter(Boolean).join('/') + path))
              .join(', ') || 'none',
          ],
          [
            'Depends on',
            stack.dependsOn.length === 0
              ? 'nothing'
              : stack.dependsOn.map((other) => (
                  <Link key={other} href={stackPath(other.includes('/') ? other : `${stack.generator}/${other}`)}>
                    {other}
                  </Link>
                )),
          ],
          ['Created', <RelativeTime key="created" time={stack.createTime} />],
        ]}
      />
      {canWrite && !stack.deleteTime && (
        <button type="button" onClick={() => setChanging(stack)}>
          Change
        </button>
      )}
      {changing && <ChangeSettings stack={changing} onClose={() => setChanging(undefined)} />}
      <h2>Targets</h2>
      {stack.targets.length === 0 ? (
        <p className="faint">None. The stack is placed by labels, annotations and its selector.</p>
      ) : (
        <ul className="plain">
          {stack.targets.map((agent) => (
            <li key={agent}>
              <Link href={pathOf('agents', agent)}>{agent}</Link>
              {canWrite && (
                <button type="button" className="small" onClick={() => setRemovedTarget(agent)}>
                  Remove<span className="hidden"> the target {agent}</span>
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {removedTarget !== undefined && (
        <ConfirmDialog
          title={`Remove the target ${removedTarget}`}
          action="Remove"
          danger
          onClose={() => setRemovedTarget(undefined)}
          onConfirm={() => broker.removeTarget({ stack: name, agent: removedTarget })}
        >
          <p>Unless the stack matches {removedTarget} in another way, its objects are removed there.</p>
        </ConfirmDialog>
      )}
    </>
  );
}

function selectorText(selector: LabelSelector | undefined): string {
  if (!selector) return 'none';
  const equal = Object.entries(selector.matchLabels).map(([key, value]) => (value === '' ? key : `${key} = ${value}`));
  const terms = selector.matchExpressions.map(({ key, operator, values }) =>
    `${key} ${operators[operator]} ${values.join(' or ')}`.trim(),
  );
  return [...equal, ...terms].join(', ') || 'every agent registered with the generator';
}
