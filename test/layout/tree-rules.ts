import { circlesOf, fileGraph, folderSizes } from './graph.ts';
import { isTestFile } from './rooms.ts';
import { type Source, toSource } from './sources.ts';

/** A rule about the sources as a whole. */
export interface TreeRule {
  readonly name: string;
  readonly reason: string;
  /** Lists the violations, one text each. */
  readonly find: (sources: readonly Source[]) => readonly string[];
  /** Sources that violate the rule, which prove that the rule still finds something. */
  readonly example: readonly Source[];
}

const MAX_FOLDER_SOURCES = 20;

export const treeRules: readonly TreeRule[] = [
  {
    name: `no folder has more than ${MAX_FOLDER_SOURCES} sources`,
    reason: 'a reader takes in a folder at a glance or not at all: more concepts need a room each',
    find: (sources) =>
      [...folderSizes(sources.filter(({ path }) => !isTestFile(path)))]
        .filter(([, size]) => size > MAX_FOLDER_SOURCES)
        .map(([folder, size]) => `${folder} has ${size}`),
    example: Array.from({ length: MAX_FOLDER_SOURCES + 1 }, (_, number) =>
      toSource(`agent/sync/part-${number}.ts`, ''),
    ),
  },
  {
    name: 'no files import each other in a circle',
    reason: 'files in a circle are one file to whoever reads, tests or moves them',
    find: (sources) => circlesOf(fileGraph(sources)).map((circle) => circle.join(', ')),
    example: [
      toSource('agent/kube/client.ts', "import { read } from './stream.ts';"),
      toSource('agent/kube/stream.ts', "import type { Client } from './client.ts';"),
    ],
  },
];
