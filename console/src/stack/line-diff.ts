import { diffArrays } from 'diff';

interface Line {
  readonly number: number;
  readonly text: string;
}

/** A row of a side-by-side view: a line on both sides, or on one. */
export interface DiffRow {
  readonly kind: 'same' | 'changed' | 'removed' | 'added';
  readonly left?: Line;
  readonly right?: Line;
}

/** More than this many differences are not looked for: then lines are compared by their place. */
const mostEdits = 2_000;

/** The lines of two texts side by side; the fewest lines differ. */
export function diffLines(before: string, after: string): DiffRow[] {
  const left = linesOf(before);
  const right = linesOf(after);
  const rows: DiffRow[] = [];
  let x = 0;
  let y = 0;
  const pair = (lefts: number, rights: number) => {
    for (let at = 0; at < Math.max(lefts, rights); at += 1)
      rows.push(rowOf(at < lefts ? left[x + at] : undefined, at < rights ? right[y + at] : undefined));
    x += lefts;
    y += rights;
  };
  const runs = diffArrays(left, right, { maxEditLength: mostEdits, comparator: (a, b) => a.text === b.text }) ?? [];
  let removed = 0;
  let added = 0;
  for (const run of runs) {
    if (run.removed) removed += run.count;
    else if (run.added) added += run.count;
    else {
      pair(removed, added);
      pair(run.count, run.count);
      removed = 0;
      added = 0;
    }
  }
  pair(left.length - x, right.length - y);
  return rows;
}

function rowOf(left: Line | undefined, right: Line | undefined): DiffRow {
  if (left && right) return { kind: left.text === right.text ? 'same' : 'changed', left, right };
  return left ? { kind: 'removed', left } : { kind: 'added', right };
}

function linesOf(text: string): Line[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, at) => ({ number: at + 1, text: line }));
}
