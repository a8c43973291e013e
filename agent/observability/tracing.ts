import type { Tracing } from '../../client/trace.ts';
import type { Entry } from '../target/target-state.ts';

/** Adds what this agent does for a deployment to the trace in which it was submitted. */
export interface AgentTraces {
  /** The agent's name, once the broker has said it. */
  named(agent: string): void;
  /** Entries came, and their manifests; the answer was there at that time, in milliseconds since 1970. */
  received(entries: readonly Entry[], at: number): void;
  /** A pass over a deployment that is new here has ended. */
  passed(entry: Entry, outcome: string, seconds: number): void;
}

export function agentTraces(tracing: Tracing | undefined): AgentTraces {
  let agent = '';
  const step = (name: string, entry: Entry, startedAt: number) =>
    tracing?.start(name, {
      parent: entry.traceParent,
      startedAt,
      attributes: {
        'brokkr.agent': agent,
        'brokkr.stack': entry.stack,
        'brokkr.deployment.id': entry.deploymentId,
        'brokkr.deployment.revision': entry.revision,
      },
    });
  return {
    named(name) {
      agent = name;
    },
    received(entries, at) {
      for (const entry of entries) if (entry.traceParent !== '') step('pull', entry, at)?.end();
    },
    passed(entry, outcome, seconds) {
      if (entry.traceParent === '') return;
      const span = step('apply', entry, Date.now() - seconds * 1000);
      span?.setAttributes({ 'brokkr.outcome': outcome });
      span?.end(outcome === 'failed' ? outcome : undefined);
    },
  };
}
