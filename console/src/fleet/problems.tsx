import { isHealthProblem, problemMessage } from '../../../contract/placement-message.ts';
import type { Problem } from '../../../gen/brokkr/v1/problem_pb.ts';
import { Icon } from '../components/icon.tsx';
import { StackLink } from '../components/links.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { countText, healthLabels, labelOf, phaseLabels } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { explainPath } from '../stack/placements.tsx';

/** Lists what keeps stacks from being applied and healthy: a row for each cause, which opens to its agents. */
export function Problems() {
  const { broker } = useSession();
  const { data, error } = useLoad('problems', (signal) => broker.listProblems({}, { signal }));
  if (error !== undefined) return <ErrorMessage error={error} />;
  if (!data || data.problems.length === 0) return null;
  return (
    <section className="problems" aria-labelledby="problems-title">
      <h2 id="problems-title">Problems</h2>
      {data.problems.map((problem) => (
        <ProblemRow key={keyOf(problem)} problem={problem} />
      ))}
      {data.omitted > 0 && <p className="faint">and {countText(data.omitted, 'more problem')}</p>}
    </section>
  );
}

function keyOf({ stackId, deploymentId, phase, health, message }: Problem): string {
  return JSON.stringify([stackId, deploymentId, phase, health, message]);
}

function ProblemRow({ problem }: { problem: Problem }) {
  const { stack, revision, deploymentMessage, createdBy, createTime, placements, stackPlacements } = problem;
  return (
    <details>
      <summary>
        <Icon name="chevron" />
        <Status label={labelFor(problem)} />
        <span>
          <strong>{stack}</strong>
          {revision > 0 && (
            <span className="faint" title={`by ${createdBy}`}>
              {` revision ${revision}${deploymentMessage === '' ? '' : ` “${deploymentMessage}”`}, `}
              <RelativeTime time={createTime} />
            </span>
          )}
        </span>
        <span>
          {placements.toLocaleString('en')} of {countText(stackPlacements, 'agent')}
        </span>
        <span className="message">{problemMessage(problem)}</span>
      </summary>
      <Agents problem={problem} />
    </details>
  );
}

function Agents({ problem: { stack, agents, placements } }: { problem: Problem }) {
  const more = placements - agents.length;
  return (
    <p>
      <StackLink name={stack} />
      {agents.map((agent) => (
        <Link key={agent} className="name" href={explainPath({ stack, agent })}>
          {agent}
        </Link>
      ))}
      {more > 0 && <span className="faint">and {more.toLocaleString('en')} more</span>}
    </p>
  );
}

function labelFor(problem: Problem) {
  return isHealthProblem(problem) ? labelOf(healthLabels, problem.health) : labelOf(phaseLabels, problem.phase);
}
