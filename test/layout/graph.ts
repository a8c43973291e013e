import { dirname } from 'node:path/posix';
import type { Source } from './sources.ts';

/** The imports of each node, which is a file or a room. */
export type Graph = ReadonlyMap<string, ReadonlySet<string>>;

/** Builds the graph of the files themselves; only imports of files that are among the sources count, type imports too. */
export function fileGraph(sources: readonly Source[]): Graph {
  return graphOf(sources, (path) => path);
}

/** Builds the graph of rooms, as `roomOf` names them; a file for which it returns undefined is ignored. */
export function graphOf(sources: readonly Source[], roomOf: (path: string) => string | undefined): Graph {
  const known = new Set(sources.map(({ path }) => path));
  const graph = new Map<string, Set<string>>();
  for (const { path, imports } of sources) {
    const from = roomOf(path);
    if (from === undefined) continue;
    const needs = graph.get(from) ?? new Set<string>();
    graph.set(from, needs);
    for (const { target } of imports) {
      const to = known.has(target) ? roomOf(target) : undefined;
      if (to !== undefined && to !== from) needs.add(to);
    }
  }
  return graph;
}

/** Finds the strongly connected components of two nodes or more, each sorted, by Tarjan's algorithm. */
export function circlesOf(graph: Graph): string[][] {
  const circles: string[][] = [];
  const indexes = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const onStack = new Set<string>();
  const visit = (node: string) => {
    const index = indexes.size;
    indexes.set(node, index);
    lowest.set(node, index);
    stack.push(node);
    onStack.add(node);
    for (const next of graph.get(node) ?? []) {
      if (!indexes.has(next)) visit(next);
      if (onStack.has(next)) lowest.set(node, Math.min(lowest.get(node)!, lowest.get(next)!));
    }
    if (lowest.get(node) !== index) return;
    const circle: string[] = [];
    for (let last = ''; last !== node; ) {
      last = stack.pop()!;
      onStack.delete(last);
      circle.push(last);
    }
    if (circle.length > 1) circles.push(circle.sort());
  };
  for (const node of graph.keys()) if (!indexes.has(node)) visit(node);
  return circles;
}

/** Counts the sources that lie directly in each folder. */
export function folderSizes(sources: readonly Source[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { path } of sources) sizes.set(dirname(path), (sizes.get(dirname(path)) ?? 0) + 1);
  return sizes;
}
