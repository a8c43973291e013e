import { Component, type ReactNode } from 'react';
import { Problem } from './problem.tsx';

interface ErrorBoundaryProps {
  readonly children: ReactNode;
}

/** Replaces a view that failed with a message and keeps the frame around it. React supports this for classes only. */
export class ErrorBoundary extends Component<ErrorBoundaryProps, { readonly failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    const message =
      'This view could not be loaded. The broker may be unavailable or may have been upgraded. Reload the console and sign in again.';
    return (
      <>
        <Problem summary={{ message, violations: [] }} />
        <button type="button" onClick={() => location.reload()}>
          Reload
        </button>
      </>
    );
  }
}
