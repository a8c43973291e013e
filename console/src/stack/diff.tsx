import { useMemo } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import { Nothing } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { actions, type Word } from '../enum-labels.ts';
import { type DiffRow, diffLines } from './line-diff.ts';
import type { Shown } from './manifest.ts';

interface DiffProps {
  readonly before: readonly Shown[];
  readonly after: readonly Shown[];
  /** What the two sides are. */
  readonly names: readonly [before: string, after: string];
}

const { 1: created, 2: configured, 4: deleted } = actions;

/** Two revisions side by side: the objects that differ, each with its lines. */
export function Diff({ before, after, names }: DiffProps) {
  const changes = useMemo(() => changesOf(before, after), [before, after]);
  if (changes.length === 0) return <Nothing>Both are the same.</Nothing>;
  return (
    <div className="diff">
      {changes.map(({ word, object, rows, hidden }) => (
        <details key={object.key} open={changes.length <= 20}>
          <summary>
            <Status word={word} /> <code>{objectText(object.ref)}</code>
            {hidden && <span className="faint"> hidden values differ</span>}
          </summary>
          <Lines rows={rows} names={names} label={object.key} />
        </details>
      ))}
    </div>
  );
}

interface Change {
  readonly word: Word;
  readonly object: Shown;
  readonly rows: readonly DiffRow[];
  readonly hidden: boolean;
}

function changesOf(before: readonly Shown[], after: readonly Shown[]): Change[] {
  const old = new Map(before.map((object) => [object.key, object]));
  const now = new Set(after.map(({ key }) => key));
  const gone = before.filter(({ key }) => !now.has(key));
  return [
    ...after.flatMap((object) => {
      const was = old.get(object.key);
      if (!was) return [{ word: created, object, rows: diffLines('', object.text), hidden: false }];
      if (was.text === object.text && was.hidden === object.hidden) return [];
      return [
        { word: configured, object, rows: diffLines(was.text, object.text), hidden: was.hidden !== object.hidden },
      ];
    }),
    ...gone.map((object) => ({ word: deleted, object, rows: diffLines(object.text, ''), hidden: false })),
  ];
}

const around = 3;

/** Lines that are the same are left out, but for some around those that differ. */
function Lines({ rows, names, label }: { rows: readonly DiffRow[]; names: DiffProps['names']; label: string }) {
  const near = rows.map((_, at) =>
    rows.slice(Math.max(0, at - around), at + around + 1).some(({ kind }) => kind !== 'same'),
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
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
          {rows.map((row, at) => {
            // biome-ignore-start lint/suspicious/noArrayIndexKey: a line has no other identity than its place
            if (near[at])
              return (
                <tr key={at} className={row.kind}>
                  <Side side={row.left} sign={row.kind === 'same' ? ' ' : '-'} />
                  <Side side={row.right} sign={row.kind === 'same' ? ' ' : '+'} />
                </tr>
              );
            return near[at - 1] || at === 0 ? (
              <tr key={at} className="left-out">
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
