import { useState } from 'react';
import { type LabelSelector, SelectorOperator, type Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Facts } from '../components/head.tsx';
import { Labels } from '../components/status.tsx';
import { Ago } from '../components/time.tsx';
import { Link, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { ChangeSettings, conflicts, drifts, onDeletes } from './change-settings.tsx';

const operators: Readonly<Record<SelectorOperator, string>> = {
  [SelectorOperator.UNSPECIFIED]: '?',
  [SelectorOperator.IN]: 'in',
  [SelectorOperator.NOT_IN]: 'not in',
  [SelectorOperator.EXISTS]: 'exists',
  [SelectorOperator.DOES_NOT_EXIST]: 'does not exist',
};

/** Who serves a stack, and what agents do with it. */
export function Settings({ stack }: { stack: Stack }) {
  const { broker, writes } = useSession();
  const [leaving, setLeaving] = useState<string>();
  const [changing, setChanging] = useState<Stack>();
  const name = `${stack.generator}/${stack.name}`;
  return (
    <>
      <Facts
        facts={[
          ['Labels', stack.labels.length === 0 ? 'none' : <Labels key="labels" labels={stack.labels} most={20} />],
          ...Object.entries(stack.annotations).map(([key, value]) => [`Annotation ${key}`, value] as const),
          ['Selector', selectorText(stack.selector)],
          ['What others changed', drifts[stack.drift]],
          ['What is there already', conflicts[stack.conflict]],
          ['Objects, when an agent loses the stack', onDeletes[stack.onDelete]],
          [
            'Fields that may differ',
            stack.ignoredFields
              .flatMap(({ kind, name: of, paths }) => paths.map((path) => [kind, of].filter(Boolean).join('/') + path))
              .join(', ') || 'none',
          ],
          [
            'Needs first',
            stack.dependsOn.length === 0
              ? 'nothing'
              : stack.dependsOn.map((other) => (
                  <Link key={other} href={stackPath(other.includes('/') ? other : `${stack.generator}/${other}`)}>
                    {other}
                  </Link>
                )),
          ],
          ['Created', <Ago key="created" time={stack.createTime} />],
        ]}
      />
      {writes && !stack.deleteTime && (
        <button type="button" onClick={() => setChanging(stack)}>
          Change
        </button>
      )}
      {changing && <ChangeSettings stack={changing} onClose={() => setChanging(undefined)} />}
      <h2>Targets</h2>
      {stack.targets.length === 0 ? (
        <p className="faint">None: it is placed by labels, annotations and its selector alone.</p>
      ) : (
        <ul className="plain">
          {stack.targets.map((agent) => (
            <li key={agent}>
              <Link href={pathOf('agents', agent)}>{agent}</Link>
              {writes && (
                <button type="button" className="small" onClick={() => setLeaving(agent)}>
                  Remove<span className="hidden"> the target {agent}</span>
                </button>
              )}
            </li>
          ))}
        </ul>
      )}
      {leaving !== undefined && (
        <ConfirmDialog
          title={`Remove the target ${leaving}`}
          action="Remove"
          danger
          onClose={() => setLeaving(undefined)}
          onDo={() => broker.removeTarget({ stack: name, agent: leaving })}
        >
          <p>Without another reason to serve it, {leaving} removes the stack’s objects.</p>
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
