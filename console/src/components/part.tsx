import { Component, type ComponentType, lazy, type ReactNode } from 'react';
import { Problem } from './problem.tsx';

const loads: (() => Promise<unknown>)[] = [];

/** A part of the console that comes when it is looked at, or with `loadParts`. */
export function part<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  loads.push(load);
  return lazy(async () => ({ default: await load() }));
}

/**
 * Loads what was not looked at yet, so that it is there while the broker is away: a browser asks for each script once, and remembers
 * that it did not come.
 */
export async function loadParts(): Promise<void> {
  await Promise.allSettled(loads.map((load) => load()));
}

interface ErrorBoundaryProps {
  readonly children: ReactNode;
}

/** In the place of a view that failed: what is around it stays. React has this for classes only. */
export class ErrorBoundary extends Component<ErrorBoundaryProps, { readonly failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    const message =
      'This view could not be shown. The broker may be away, or have been updated: load the console anew, and sign in again.';
    return (
      <>
        <Problem told={{ message, violations: [] }} />
        <button type="button" onClick={() => location.reload()}>
          Load anew
        </button>
      </>
    );
  }
}
