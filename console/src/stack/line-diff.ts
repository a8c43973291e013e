/** A row of a side-by-side view: a line on both sides, or on one. */
export interface DiffRow {
  readonly kind: 'same' | 'changed' | 'removed' | 'added';
  readonly left?: { readonly number: number; readonly text: string };
  readonly right?: { readonly number: number; readonly text: string };
}

/** More than this many differences are not looked for: then everything between is replaced. */
const mostEdits = 2_000;

/** The lines of two texts side by side; the fewest lines differ (Myers, "An O(ND) difference algorithm"). */
export function diffLines(before: string, after: string): DiffRow[] {
  const a = linesOf(before);
  const b = linesOf(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail])
    tail += 1;
  const kept = commonLines(a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  const pairs: (readonly [number, number])[] = [
    ...Array.from({ length: head }, (_, at) => [at, at] as const),
    ...kept.map(([x, y]) => [x + head, y + head] as const),
    ...Array.from({ length: tail }, (_, at) => [a.length - tail + at, b.length - tail + at] as const),
    [a.length, b.length],
  ];
  const rows: DiffRow[] = [];
  let x = 0;
  let y = 0;
  for (const [nextX, nextY] of pairs) {
    for (; x < nextX || y < nextY; x += x < nextX ? 1 : 0, y += y < nextY ? 1 : 0) {
      const left = x < nextX ? { number: x + 1, text: a[x] ?? '' } : undefined;
      const right = y < nextY ? { number: y + 1, text: b[y] ?? '' } : undefined;
      if (left && right) rows.push({ kind: 'changed', left, right });
      else if (left) rows.push({ kind: 'removed', left });
      else if (right) rows.push({ kind: 'added', right });
    }
    if (nextX < a.length && nextY < b.length) {
      rows.push({
        kind: 'same',
        left: { number: nextX + 1, text: a[nextX] ?? '' },
        right: { number: nextY + 1, text: b[nextY] ?? '' },
      });
      x = nextX + 1;
      y = nextY + 1;
    }
  }
  return rows;
}

function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Pairs of equal lines, as many as can be had in order. */
function commonLines(a: readonly string[], b: readonly string[]): [number, number][] {
  const limit = Math.min(a.length + b.length, mostEdits);
  const furthest = new Map<number, number>([[1, 0]]);
  const trace: Map<number, number>[] = [];
  for (let edits = 0; edits <= limit; edits += 1) {
    trace.push(new Map(furthest));
    for (let k = -edits; k <= edits; k += 2) {
      const down = k === -edits || (k !== edits && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
      let x = down ? (furthest.get(k + 1) ?? 0) : (furthest.get(k - 1) ?? 0) + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x += 1;
      furthest.set(k, x);
      if (x >= a.length && x - k >= b.length) return walkBack(trace, a.length, b.length);
    }
  }
  return [];
}

function walkBack(trace: readonly Map<number, number>[], width: number, height: number): [number, number][] {
  const pairs: [number, number][] = [];
  let x = width;
  let y = height;
  for (let edits = trace.length - 1; edits >= 0; edits -= 1) {
    const furthest = trace[edits] as Map<number, number>;
    const k = x - y;
    const down = k === -edits || (k !== edits && (furthest.get(k - 1) ?? -1) < (furthest.get(k + 1) ?? -1));
    const from = down ? k + 1 : k - 1;
    const fromX = furthest.get(from) ?? 0;
    const fromY = fromX - from;
    while (x > fromX && y > fromY && x > 0 && y > 0) {
      x -= 1;
      y -= 1;
      pairs.push([x, y]);
    }
    if (edits === 0) break;
    x = fromX;
    y = fromY;
  }
  return pairs.reverse();
}
