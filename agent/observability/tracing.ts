import type { Tracing } from '../../client/trace.ts';
import type { Entry } from '../target/target-state.ts';

/** Adds spans for what this agent does to the trace of a deployment's submission. */
export interface AgentTraces {
  /** Sets the agent's name, which the broker gives at the start. */
  named(agent: string): void;
  /** Records that entries and their manifests arrived; `at` is the time of the answer in milliseconds since 1970. */
  received(entries: readonly Entry[], at: number): void;
  /** Records a pass over a deployment that is new here. */
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
