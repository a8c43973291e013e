import { isHealthProblem, problemMessage } from '../../contract/placement-message.ts';
import { PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';
import { type Problem, ProblemSchema } from '../../gen/brokkr/v1/problem_pb.ts';
import type { Output, Tone } from '../output/output.ts';
import { sanitize } from '../output/sanitize.ts';
import type { View } from '../output/view.ts';
import { ageText, pluralize, styledLabelOf, styledPhases } from './enum-labels.ts';
import { healthText, healthTone } from './health.ts';

/** Prints problems, one row for each cause. */
export const problemView: View<typeof ProblemSchema> = {
  schema: ProblemSchema,
  listField: 'problems',
  name: ({ stack }) => stack,
  columns: [
    { title: 'STACK', text: ({ stack }) => stack },
    { title: 'REVISION', text: ({ revision }) => (revision === 0 ? '' : String(revision)) },
    { title: 'STATE', text: stateText, tone: stateTone },
    { title: 'AGENTS', text: ({ placements, stackPlacements }) => `${placements} of ${stackPlacements}` },
    { title: 'SINCE', text: ({ sinceTime }) => ageText(sinceTime), drop: 1 },
    { title: 'NAMES', text: ({ agents }) => agents.join(','), wide: true, prose: true },
    { title: 'MESSAGE', text: problemMessage, prose: true },
  ],
};

/**
 * Describes a problem in three lines: which revision, by whom and since when; where it is and the reason; the agents, with the command
 * that shows more.
 */
export function problemLines(output: Output, problem: Problem): string[] {
  const { stack, placements, stackPlacements, agents } = problem;
  const state = output.paint(stateTone(problem), stateText(problem));
  const message = problemMessage(problem);
  return [
    output.paint('strong', sanitize(revisionText(problem))),
    `  ${state} on ${placements} of ${pluralize(stackPlacements, 'agent')}${message === '' ? '' : `: ${sanitize(message)}`}`,
    `  ${namesText(agents, placements)}: ${commandFor(problem, stack, agents[0] ?? '')}`,
  ];
}

/** Names the revision, its message and its submitter: 'shop/web revision 4 "web 2.0" by generator/ci, 3m ago'. */
function revisionText({ stack, revision, deploymentMessage, createdBy, createTime }: Problem): string {
  if (revision === 0) return stack;
  const message = deploymentMessage === '' ? '' : ` "${deploymentMessage}"`;
  return `${stack} revision ${revision}${message} by ${createdBy.replace(/ \(.*\)$/, '')}, ${ageText(createTime)} ago`;
}

function stateText(problem: Problem): string {
  return isHealthProblem(problem) ? healthText(problem) : styledLabelOf(styledPhases, problem.phase).text;
}

function stateTone(problem: Problem): Tone | undefined {
  return isHealthProblem(problem) ? healthTone(problem) : styledLabelOf(styledPhases, problem.phase).tone;
}

const maxNames = 3;

function namesText(agents: readonly string[], placements: number): string {
  const names = agents.slice(0, maxNames).map(sanitize);
  const more = placements - names.length;
  return more > 0 ? `${names.join(', ')} and ${more} more` : names.join(', ');
}

/** The command that helps next: a held deletion is read and confirmed, the rest is explained. */
function commandFor({ phase }: Problem, stack: string, agent: string): string {
  const verb =
    phase === PlacementPhase.HELD ? `brokkr confirm-removal ${agent} ${stack}` : `brokkr explain ${stack} ${agent}`;
  return sanitize(verb);
}
