import { useState } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import {
  type Diagnostic,
  type DiagnosticReport,
  DiagnosticState,
  type PodReport,
} from '../../../gen/brokkr/v1/diagnostic_pb.ts';
import { ErrorMessage, Problem } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { healthLabels, labelOf } from '../enum-labels.ts';
import { newRequestId } from '../request-id.ts';
import { useSession } from '../session/session.ts';

/** Seconds to wait per call, and milliseconds in total. */
const waitSeconds = 20n;
const maxWaitMs = 90_000;

/** Requests a diagnostic from the agent: objects, pods, their last log lines, and Kubernetes events. */
export function Diagnose({ stack, agent }: { stack: string; agent: string }) {
  const { broker } = useSession();
  const [diagnostic, setDiagnostic] = useState<Diagnostic>();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const runDiagnostic = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const end = Date.now() + maxWaitMs;
      let answer = (await broker.requestDiagnostic({ requestId: newRequestId(), stack, agent })).diagnostic;
      while (answer && isOpen(answer)) {
        if (Date.now() > end)
          throw new Error('The agent has not answered within 90 seconds. It answers once it is back online.');
        answer = (await broker.getDiagnostic({ id: answer.id, wait: { seconds: waitSeconds } })).diagnostic;
      }
      setDiagnostic(answer);
    } catch (error) {
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  return (
    <section aria-labelledby="diagnosis">
      <h2 id="diagnosis">Diagnosis</h2>
      <p className="faint">
        The agent collects the current state of the objects, their pods and last log lines. Secret values are masked.
      </p>
      <button type="button" disabled={busy} onClick={runDiagnostic}>
        {busy ? 'Collecting…' : 'Diagnose'}
      </button>
      <ErrorMessage error={failure} />
      {diagnostic?.state === DiagnosticState.FAILED && (
        <Problem summary={{ message: diagnostic.message, violations: [] }} />
      )}
      {diagnostic?.report && <Report report={diagnostic.report} />}
    </section>
  );
}

function isOpen({ state }: Diagnostic): boolean {
  return state === DiagnosticState.PENDING || state === DiagnosticState.CLAIMED;
}

function Report({ report: { objects, pods, events, notes } }: { report: DiagnosticReport }) {
  return (
    <div className="report">
      {notes.length > 0 && (
        <ul>
          {notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      <h3>Objects</h3>
      <ul className="plain">
        {objects.map(({ object, health, message, yaml }) => (
          <li key={objectText(object)}>
            <details>
              <summary>
                <Status label={labelOf(healthLabels, health)} /> <code>{objectText(object)}</code>{' '}
                <span className="message">{message}</span>
              </summary>
              <Text text={yaml} label={objectText(object)} />
            </details>
          </li>
        ))}
      </ul>
      {pods.length > 0 && <h3>Pods</h3>}
      {pods.map((pod) => (
        <Pod key={`${pod.namespace}/${pod.name}`} pod={pod} />
      ))}
      {events.length > 0 && <h3>Kubernetes events</h3>}
      <ul className="plain">
        {events.map(({ object, type, reason, message, count, lastTime }, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: events have no identity of their own
          <li key={at}>
            <Status
              label={{
                text: type,
                tone: type === 'Warning' ? 'warn' : 'idle',
                icon: type === 'Warning' ? 'warning' : 'info',
              }}
            />{' '}
            <strong>{reason}</strong> {message} <code>{objectText(object)}</code>{' '}
            <span className="faint">
              {count > 1 && `${count} times, `}
              <RelativeTime time={lastTime} />
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Pod({ pod: { namespace, name, phase, node, message, containers } }: { pod: PodReport }) {
  return (
    <details>
      <summary>
        <code>
          {namespace}/{name}
        </code>{' '}
        {phase} <span className="faint">{node && `on ${node}`}</span> <span className="message">{message}</span>
      </summary>
      {containers.map(({ name: container, state, restarts, logLines }) => (
        <div key={container}>
          <p>
            <strong>{container}</strong> {state}
            {restarts > 0 && `, ${restarts} restarts`}
          </p>
          {logLines.length > 0 && <Text text={logLines.join('\n')} label={`Last lines of ${container}`} />}
        </div>
      ))}
    </details>
  );
}

function Text({ text, label }: { text: string; label: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
    <pre tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}
