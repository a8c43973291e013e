import { type ReactNode, Suspense, useEffect } from 'react';
import { AgentView } from './agent/agent.tsx';
import { AgentsView } from './agent/agents.tsx';
import { Head } from './components/head.tsx';
import { ErrorBoundary, loadParts, part } from './components/part.tsx';
import { Nothing } from './components/problem.tsx';
import { Fleet } from './fleet/fleet.tsx';
import { go, usePlace } from './router.tsx';
import { useSession } from './session/session.ts';
import { StackView } from './stack/stack.tsx';
import { Stacks } from './stack/stacks.tsx';

/** What is looked at first is loaded first. */
const restMs = 2_000;

// What is not needed to see how things are comes when it is looked at.
const Deploy = part(async () => (await import('./stack/deploy.tsx')).Deploy);
const Explain = part(async () => (await import('./explain/explain.tsx')).Explain);
const Generators = part(async () => (await import('./generator/generators.tsx')).Generators);
const GeneratorView = part(async () => (await import('./generator/generator.tsx')).GeneratorView);
const Audit = part(async () => (await import('./audit/audit.tsx')).Audit);
const Keys = part(async () => (await import('./key/keys.tsx')).Keys);

/** The view for where we are. */
export function Views() {
  const { parts } = usePlace();
  const { sees } = useSession();
  useEffect(() => {
    const timer = setTimeout(() => void loadParts(), restMs);
    return () => clearTimeout(timer);
  }, []);
  return (
    <ErrorBoundary key={parts[0]}>
      <Suspense fallback={<p className="nothing">Loading…</p>}>{viewOf(parts, sees)}</Suspense>
    </ErrorBoundary>
  );
}

function viewOf(parts: readonly string[], sees: boolean): ReactNode {
  const [area, first, second, third] = parts;
  switch (area) {
    case undefined:
      return <Redirect to={sees ? '/fleet' : '/stacks'} />;
    case 'fleet':
      return sees ? <Fleet /> : <NotForYou />;
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
      if (!sees) return <NotForYou />;
      return first === undefined ? <Generators /> : <GeneratorView key={first} name={first} />;
    case 'audit':
      return sees ? <Audit /> : <NotForYou />;
    case 'keys':
      return <Keys />;
    default:
      return (
        <>
          <Head title="Not found" />
          <Nothing>There is no such view.</Nothing>
        </>
      );
  }
}

function NotForYou() {
  return (
    <>
      <Head title="Not for you" />
      <Nothing>Only admins see this. Your key is a generator’s.</Nothing>
    </>
  );
}

function Redirect({ to }: { to: string }) {
  useEffect(() => go(to, { replace: true }), [to]);
  return null;
}
