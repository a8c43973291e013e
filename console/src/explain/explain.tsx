import type { FormEvent } from 'react';
import { StepVerdict } from '../../../gen/brokkr/v1/placement_pb.ts';
import { textIn } from '../components/fields.tsx';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { type EnumLabel, labelOf, verdictLabels } from '../enum-labels.ts';
import { EventList } from '../event/events.tsx';
import { useLoad } from '../load.ts';
import { Link, pathOf, setQuery, stackPath, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Diagnose } from './diagnose.tsx';

const matchSteps = new Set(['target', 'label', 'annotation', 'selector']);

/** One match is enough to place a stack: the "no" of the other steps is then not a problem. */
function labelFor(step: string, verdict: StepVerdict, placed: boolean): EnumLabel {
  const word = labelOf(verdictLabels, verdict);
  return verdict === StepVerdict.NO && placed && matchSteps.has(step) ? { ...word, tone: 'idle', icon: 'ring' } : word;
}

/** Explains why an agent applies a stack, or does not. The answer is refreshed while the page is visible. */
export function Explain() {
  const { broker, canWrite } = useSession();
  const { query } = useLocation();
  const stack = query.get('stack') ?? '';
  const agent = query.get('agent') ?? '';
  const isComplete = stack !== '' && agent !== '';
  const { data, error } = useLoad(isComplete ? `explain ${stack} ${agent}` : undefined, (signal) =>
    broker.explainPlacement({ stack, agent }, { signal }),
  );
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setQuery({ stack: textIn(form, 'stack'), agent: textIn(form, 'agent') });
  };
  return (
    <>
      <ViewHeader title="Explain a placement" />
      <ExplainForm key={`${stack} ${agent}`} stack={stack} agent={agent} onSubmit={submit} />
      <ErrorMessage error={error} />
      {!isComplete && <EmptyState>Enter a stack and an agent to see every step from matching to applying.</EmptyState>}
      {data && (
        <>
          <p className="summary" role="status">
            {data.summary.charAt(0).toUpperCase() + data.summary.slice(1)}.
          </p>
          <ol className="steps">
            {data.steps.map(({ name, verdict, detail }) => (
              <li key={name}>
                <Status label={labelFor(name, verdict, data.placement !== undefined)} />
                <strong>{name}</strong>
                <span>{detail}</span>
              </li>
            ))}
          </ol>
          <p>
            See also{' '}
            <Link href={data.placement ? stackPath(data.placement.stack) : '/stacks'}>
              {data.placement?.stack ?? 'the stacks'}
            </Link>
            {' and the agent '}
            <Link href={pathOf('agents', data.placement?.agent ?? agent)}>{data.placement?.agent ?? agent}</Link>
          </p>
          {data.events.length > 0 && (
            <section aria-labelledby="latest">
              <h2 id="latest">Latest events</h2>
              <EventList events={data.events} linkTo="stack" />
            </section>
          )}
          {canWrite && data.placement && <Diagnose key={`${stack} ${agent}`} stack={stack} agent={agent} />}
        </>
      )}
    </>
  );
}

function ExplainForm({
  stack,
  agent,
  onSubmit,
}: {
  stack: string;
  agent: string;
  onSubmit: (event: FormEvent<HTMLFormElement>) => void;
}) {
  const { broker } = useSession();
  const { data } = useLoad(
    'names to explain',
    async (signal) => {
      const [{ stacks }, { agents }] = await Promise.all([
        broker.listStacks({ pageSize: 500 }, { signal }),
        broker.listAgents({ pageSize: 500 }, { signal }),
      ]);
      return {
        stacks: stacks.map(({ generator, name }) => `${generator}/${name}`),
        agents: agents.map(({ name }) => name),
      };
    },
    { once: true },
  );
  return (
    <form className="filters" onSubmit={onSubmit}>
      <label className="field inline">
        <span>Stack</span>
        <input name="stack" list="stacks" defaultValue={stack} required autoComplete="off" spellCheck={false} />
      </label>
      <label className="field inline">
        <span>on agent</span>
        <input name="agent" list="agents" defaultValue={agent} required autoComplete="off" spellCheck={false} />
      </label>
      <button type="submit" className="primary">
        Explain
      </button>
      <Names id="stacks" names={data?.stacks} />
      <Names id="agents" names={data?.agents} />
    </form>
  );
}

function Names({ id, names = [] }: { id: string; names: readonly string[] | undefined }) {
  return (
    <datalist id={id}>
      {names.map((name) => (
        <option key={name} value={name} />
      ))}
    </datalist>
  );
}
