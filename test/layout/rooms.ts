import { circlesOf, type Graph, graphOf } from './graph.ts';
import type { Source } from './sources.ts';

/** Parts of the project that are divided into rooms: each folder directly below one of them is a room. */
const areas = ['agent', 'broker', 'broker/rpc', 'cli', 'sandbox', 'sandbox/cluster', 'console/src'] as const;

type Area = (typeof areas)[number];

/** Services translate for every noun that a message names, so they may import any of them. */
export const services = /^broker\/\w+\/((\w+-)?service|session|watch)\.ts$/;

/** Builds the graph of an area's rooms. Tests, the broker's services and the files at the area's root belong to no room. */
export function roomGraph(area: Area, sources: readonly Source[]): Graph {
  const inRoom = new RegExp(`^${area}/[^/]+(?=/)`);
  return graphOf(sources, (path) => (services.test(path) || isTestFile(path) ? undefined : inRoom.exec(path)?.[0]));
}

/** Finds the rooms of every area that import each other in a circle. */
export function roomCircles(sources: readonly Source[]): string[][] {
  return areas.flatMap((area) => circlesOf(roomGraph(area, sources)));
}

/** Reports whether a path is a file of tests. */
export function isTestFile(path: string): boolean {
  return /\.test\.tsx?$/.test(path);
}
