import { diffArrays } from 'diff';

interface Line {
  readonly number: number;
  readonly text: string;
}

/** A row of a side-by-side diff: a line on both sides, or on one. */
export interface DiffRow {
  readonly kind: 'same' | 'changed' | 'removed' | 'added';
  readonly left?: Line;
  readonly right?: Line;
}

/** Maximum edit distance to search for; texts that differ more are compared line by line. */
const maxEdits = 2_000;

/** Aligns the lines of two texts with the fewest differences. */
export function diffLines(before: string, after: string): DiffRow[] {
  const left = linesOf(before);
  const right = linesOf(after);
  const rows: DiffRow[] = [];
  let leftIndex = 0;
  let rightIndex = 0;
  const addRows = (lefts: number, rights: number) => {
    for (let index = 0; index < Math.max(lefts, rights); index += 1)
      rows.push(
        rowOf(
          index < lefts ? left[leftIndex + index] : undefined,
          index < rights ? right[rightIndex + index] : undefined,
        ),
      );
    leftIndex += lefts;
    rightIndex += rights;
  };
  const runs = diffArrays(left, right, { maxEditLength: maxEdits, comparator: (a, b) => a.text === b.text }) ?? [];
  let removed = 0;
  let added = 0;
  for (const run of runs) {
    if (run.removed) removed += run.count;
    else if (run.added) added += run.count;
    else {
      addRows(removed, added);
      addRows(run.count, run.count);
      removed = 0;
      added = 0;
    }
  }
  addRows(left.length - leftIndex, right.length - rightIndex);
  return rows;
}

function rowOf(left: Line | undefined, right: Line | undefined): DiffRow {
  if (left && right) return { kind: left.text === right.text ? 'same' : 'changed', left, right };
  return left ? { kind: 'removed', left } : { kind: 'added', right };
}

function linesOf(text: string): Line[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines.map((line, index) => ({ number: index + 1, text: line }));
}
