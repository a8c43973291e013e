import type { FormEvent } from 'react';
import { StepVerdict } from '../../../gen/brokkr/v1/placement_pb.ts';
import { EventList } from '../components/events.tsx';
import { textIn } from '../components/fields.tsx';
import { Head } from '../components/head.tsx';
import { LoadProblem, Nothing } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { verdicts, type Word, wordOf } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { Link, pathOf, setQuery, stackPath, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Diagnose } from './diagnose.tsx';

const ways = new Set(['target', 'label', 'annotation', 'selector']);

/** One way to match is enough: then the others' "no" is no trouble. */
function wordFor(step: string, verdict: StepVerdict, placed: boolean): Word {
  const word = wordOf(verdicts, verdict);
  return verdict === StepVerdict.NO && placed && ways.has(step) ? { ...word, tone: 'idle', icon: 'ring' } : word;
}

/** Why a stack is, or is not, applied by an agent: asked again while one looks. */
export function Explain() {
  const { broker, writes } = useSession();
  const { query } = usePlace();
  const stack = query.get('stack') ?? '';
  const agent = query.get('agent') ?? '';
  const asked = stack !== '' && agent !== '';
  const { data, error } = useLoad(asked ? `explain ${stack} ${agent}` : undefined, (signal) =>
    broker.explainPlacement({ stack, agent }, { signal }),
  );
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setQuery({ stack: textIn(form, 'stack'), agent: textIn(form, 'agent') });
  };
  return (
    <>
      <Head title="Why is this not applied?" />
      <Question key={`${stack} ${agent}`} stack={stack} agent={agent} onAsk={ask} />
      <LoadProblem error={error} />
      {!asked && (
        <Nothing>
          Name a stack and an agent, and every step from “is it meant for it” to “did it arrive” is told.
        </Nothing>
      )}
      {data && (
        <>
          <p className="summary" role="status">
            {data.summary.charAt(0).toUpperCase() + data.summary.slice(1)}.
          </p>
          <ol className="steps">
            {data.steps.map(({ name, verdict, detail }) => (
              <li key={name}>
                <Status word={wordFor(name, verdict, data.placement !== undefined)} />
                <strong>{name}</strong>
                <span>{detail}</span>
              </li>
            ))}
          </ol>
          <p>
            Look at{' '}
            <Link href={data.placement ? stackPath(data.placement.stack) : '/stacks'}>
              {data.placement?.stack ?? 'the stacks'}
            </Link>
            , or at the agent{' '}
            <Link href={pathOf('agents', data.placement?.agent ?? agent)}>{data.placement?.agent ?? agent}</Link>
          </p>
          {data.events.length > 0 && (
            <section aria-labelledby="latest">
              <h2 id="latest">What the agent said last</h2>
              <EventList events={data.events} shows="stack" />
            </section>
          )}
          {writes && data.placement && <Diagnose key={`${stack} ${agent}`} stack={stack} agent={agent} />}
        </>
      )}
    </>
  );
}

function Question({
  stack,
  agent,
  onAsk,
}: {
  stack: string;
  agent: string;
  onAsk: (event: FormEvent<HTMLFormElement>) => void;
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
    <form className="filters" onSubmit={onAsk}>
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
