import { type ReactNode, Suspense, useEffect, useLayoutEffect } from 'react';
import { AgentView } from './agent/agent.tsx';
import { AgentsView } from './agent/agents.tsx';
import { ErrorBoundary } from './components/error-boundary.tsx';
import { lazyView, preloadViews } from './components/lazy-view.tsx';
import { EmptyState } from './components/problem.tsx';
import { ViewHeader } from './components/view-header.tsx';
import { Fleet } from './fleet/fleet.tsx';
import { navigate, useLocation } from './router.tsx';
import { useSession } from './session/session.ts';
import { StackView } from './stack/stack.tsx';
import { Stacks } from './stack/stacks.tsx';

/** Milliseconds until the other views are preloaded, so that the first view loads first. */
const preloadDelayMs = 2_000;

// Views that are not needed to see the current state are loaded when they are first shown.
const Deploy = lazyView(async () => (await import('./stack/deploy.tsx')).Deploy);
const Explain = lazyView(async () => (await import('./explain/explain.tsx')).Explain);
const Generators = lazyView(async () => (await import('./generator/generators.tsx')).Generators);
const GeneratorView = lazyView(async () => (await import('./generator/generator.tsx')).GeneratorView);
const Audit = lazyView(async () => (await import('./audit/audit.tsx')).Audit);
const Keys = lazyView(async () => (await import('./key/keys.tsx')).Keys);

/** Shows the view of the current location. */
export function Views() {
  const { segments } = useLocation();
  const { seesAll } = useSession();
  useEffect(() => {
    const timer = setTimeout(() => void preloadViews(), preloadDelayMs);
    return () => clearTimeout(timer);
  }, []);
  return (
    <ErrorBoundary key={segments[0]}>
      <Suspense fallback={<p className="nothing">Loading…</p>}>{viewOf(segments, seesAll)}</Suspense>
    </ErrorBoundary>
  );
}

function viewOf(parts: readonly string[], sees: boolean): ReactNode {
  const [area, first, second, third] = parts;
  switch (area) {
    case undefined:
      return <Redirect to={sees ? '/fleet' : '/stacks'} />;
    case 'fleet':
      return sees ? <Fleet /> : <NoAccess />;
    case 'agents':
      if (first !== undefined) return <AgentView key={first} name={first} />;
      return sees ? <Redirect to="/fleet" /> : <AgentsView />;
    case 'stacks': {
      if (first === undefined || second === undefined) return <Stacks />;
      const stack = `${first}/${second}`;
      return third === 'deploy' ? (
        <Deploy key={stack} name={stack} />
      ) : (
        <StackView key={stack} name={stack} tab={third} />
      );
    }
    case 'explain':
      return <Explain />;
    case 'generators':
      if (!sees) return <NoAccess />;
      return first === undefined ? <Generators /> : <GeneratorView key={first} name={first} />;
    case 'audit':
      return sees ? <Audit /> : <NoAccess />;
    case 'keys':
      return <Keys />;
    default:
      return (
        <>
          <ViewHeader title="Not found" />
          <EmptyState>This page does not exist.</EmptyState>
        </>
      );
  }
}

function NoAccess() {
  return (
    <>
      <ViewHeader title="No access" />
      <EmptyState>Only admins can see this page. You are signed in as a generator.</EmptyState>
    </>
  );
}

function Redirect({ to }: { to: string }) {
  // Before the browser paints: a navigation that came after the rendering must not be replaced.
  useLayoutEffect(() => navigate(to, { replace: true }), [to]);
  return null;
}
