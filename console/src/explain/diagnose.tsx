import { useState } from 'react';
import { objectText } from '../../../contract/object-key.ts';
import {
  type Diagnostic,
  type DiagnosticReport,
  DiagnosticState,
  type PodReport,
} from '../../../gen/brokkr/v1/diagnostic_pb.ts';
import { Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { Ago } from '../components/time.tsx';
import { healths, wordOf } from '../enum-labels.ts';
import { tell } from '../errors.ts';
import { newRequestId } from '../request-id.ts';
import { useSession } from '../session/session.ts';

/** How long the agent is waited for at a time, and in all. */
const waitSeconds = 20n;
const longestMs = 90_000;

/** Has the agent look closely: objects, pods, their last log lines, and Kubernetes' own events. */
export function Diagnose({ stack, agent }: { stack: string; agent: string }) {
  const { broker } = useSession();
  const [diagnostic, setDiagnostic] = useState<Diagnostic>();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const ask = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const end = Date.now() + longestMs;
      let answer = (await broker.requestDiagnostic({ requestId: newRequestId(), stack, agent })).diagnostic;
      while (answer && isOpen(answer)) {
        if (Date.now() > end) throw new Error('The agent has not answered in 90 seconds. It does when it is back.');
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
    <section aria-labelledby="closely">
      <h2 id="closely">A close look</h2>
      <p className="faint">
        The agent looks at the objects as they are now, their pods and last log lines. Values of Secrets are masked.
      </p>
      <button type="button" disabled={busy} onClick={ask}>
        {busy ? 'The agent is looking…' : 'Look closely'}
      </button>
      {failure !== undefined && <Problem told={tell(failure)} />}
      {diagnostic?.state === DiagnosticState.FAILED && (
        <Problem told={{ message: diagnostic.message, violations: [] }} />
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
                <Status word={wordOf(healths, health)} /> <code>{objectText(object)}</code>{' '}
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
      {events.length > 0 && <h3>Kubernetes’ events</h3>}
      <ul className="plain">
        {events.map(({ object, type, reason, message, count, lastTime }, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: they have no identity of their own
          <li key={at}>
            <Status
              word={{
                word: type,
                tone: type === 'Warning' ? 'warn' : 'idle',
                icon: type === 'Warning' ? 'warning' : 'info',
              }}
            />{' '}
            <strong>{reason}</strong> {message} <code>{objectText(object)}</code>{' '}
            <span className="faint">
              {count > 1 && `${count} times, `}
              <Ago time={lastTime} />
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
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <pre tabIndex={0} role="region" aria-label={label}>
      {text}
    </pre>
  );
}
