import { useMemo } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import { EmptyState } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { actionLabels, type EnumLabel } from '../enum-labels.ts';
import { type DiffRow, diffLines } from './line-diff.ts';
import type { DisplayedObject } from './manifest.ts';

interface DiffProps {
  readonly before: readonly DisplayedObject[];
  readonly after: readonly DisplayedObject[];
  /** Headings of the two sides. */
  readonly names: readonly [before: string, after: string];
}

const { 1: created, 2: configured, 4: deleted } = actionLabels;

/** Shows two revisions side by side: the objects that differ, each with its changed lines. */
export function Diff({ before, after, names }: DiffProps) {
  const changes = useMemo(() => changesOf(before, after), [before, after]);
  if (changes.length === 0) return <EmptyState>No differences.</EmptyState>;
  return (
    <div className="diff">
      {changes.map(({ word, object, rows, hidden }) => (
        <details key={object.key} open={changes.length <= 20}>
          <summary>
            <Status label={word} /> <code>{objectText(object.ref)}</code>
            {hidden && <span className="faint"> secret values differ</span>}
          </summary>
          <Lines rows={rows} names={names} label={object.key} />
        </details>
      ))}
    </div>
  );
}

interface Change {
  readonly word: EnumLabel;
  readonly object: DisplayedObject;
  readonly rows: readonly DiffRow[];
  readonly hidden: boolean;
}

function changesOf(before: readonly DisplayedObject[], after: readonly DisplayedObject[]): Change[] {
  const beforeByKey = new Map(before.map((object) => [object.key, object]));
  const afterKeys = new Set(after.map(({ key }) => key));
  const removed = before.filter(({ key }) => !afterKeys.has(key));
  return [
    ...after.flatMap((object) => {
      const previous = beforeByKey.get(object.key);
      if (!previous) return [{ word: created, object, rows: diffLines('', object.text), hidden: false }];
      if (previous.text === object.text && previous.secretValues === object.secretValues) return [];
      return [
        {
          word: configured,
          object,
          rows: diffLines(previous.text, object.text),
          hidden: previous.secretValues !== object.secretValues,
        },
      ];
    }),
    ...removed.map((object) => ({ word: deleted, object, rows: diffLines(object.text, ''), hidden: false })),
  ];
}

const contextLines = 3;

/** Shows changed lines with a few lines of context; other unchanged lines are left out. */
function Lines({ rows, names, label }: { rows: readonly DiffRow[]; names: DiffProps['names']; label: string }) {
  const isNearChange = rows.map((_, index) =>
    rows.slice(Math.max(0, index - contextLines), index + contextLines + 1).some(({ kind }) => kind !== 'same'),
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <div className="lines" tabIndex={0} role="region" aria-label={`Lines of ${label}`}>
      <table>
        <colgroup>
          <col className="numbers" />
          <col />
          <col className="numbers" />
          <col />
        </colgroup>
        <thead>
          <tr>
            <th colSpan={2} scope="col">
              {names[0]}
            </th>
            <th colSpan={2} scope="col">
              {names[1]}
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => {
            // biome-ignore-start lint/suspicious/noArrayIndexKey: a line has no identity other than its position
            if (isNearChange[index])
              return (
                <tr key={index} className={row.kind}>
                  <Side side={row.left} sign={row.kind === 'same' ? ' ' : '-'} />
                  <Side side={row.right} sign={row.kind === 'same' ? ' ' : '+'} />
                </tr>
              );
            return isNearChange[index - 1] || index === 0 ? (
              <tr key={index} className="left-out">
                <td colSpan={4}>⋯</td>
              </tr>
            ) : null;
            // biome-ignore-end lint/suspicious/noArrayIndexKey: as above
          })}
        </tbody>
      </table>
    </div>
  );
}

function Side({ side, sign }: { side: DiffRow['left']; sign: string }) {
  if (!side)
    return (
      <>
        <td className="number" />
        <td className="none" />
      </>
    );
  return (
    <>
      <td className="number">{side.number}</td>
      <td className="line">
        <span className="sign">{sign}</span>
        {side.text}
      </td>
    </>
  );
}
