import { type ComponentType, lazy } from 'react';

const loaders: (() => Promise<unknown>)[] = [];

/** Wraps a view whose code is loaded when it is first shown, or by `preloadViews`. */
export function lazyView<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  loaders.push(load);
  return lazy(async () => ({ default: await load() }));
}

/**
 * Loads the code of all views in the background, so that they open while the broker is unavailable: a browser requests each script
 * only once and remembers a failure.
 */
export async function preloadViews(): Promise<void> {
  await Promise.allSettled(loaders.map((load) => load()));
}
