import { Option } from 'commander';
import { Health } from '../../../gen/brokkr/v1/health_pb.ts';
import {
  ExplainPlacementResponseSchema,
  type Placement,
  type PlacementPhase,
  StepVerdict,
} from '../../../gen/brokkr/v1/placement_pb.ts';
import { printSection } from '../../format/describe.ts';
import { choicesOf, styledPhases, valueOfLabel } from '../../format/enum-labels.ts';
import { eventView } from '../../format/event.ts';
import { healthOn, objectLine, omittedText } from '../../format/health.ts';
import { placementView } from '../../format/placement.ts';
import type { Tone } from '../../output/output.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printList, printOne, renderSubtable } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('placements')
      .alias('placement')
      .description('placements of stacks on agents, including pending removals')
      .argument('[stack]')
      .argument('[agent]')
      .option('--stack <stack>', 'only those of this stack')
      .option('--agent <agent>', 'only those on this agent')
      .addOption(new Option('--phase <phase>', 'only those in this phase').choices(choicesOf(styledPhases)))
      .action(
        withSession(
          async ({ broker, output }, stack: string | undefined, agent: string | undefined, options: Filter) => {
            const filter = {
              stack: stack ?? options.stack,
              agent: agent ?? options.agent,
              phase: valueOfLabel<PlacementPhase>(styledPhases, options.phase),
            };
            const placements = await allPages(
              (page) => broker.listPlacements({ ...filter, ...page }),
              (page) => page.placements,
            );
            printList(output, placementView, placements);
          },
        ),
      ),

  explain: (command) =>
    command
      .argument('<stack>')
      .argument('<agent>')
      .action(
        withSession(async (session, stack: string, agent: string) => {
          const { broker, output } = session;
          const response = await broker.explainPlacement({ stack, agent });
          const unhealthy = output.format === 'table' ? await unhealthyLines(session, response.placement) : '';
          printOne(
            output,
            { schema: ExplainPlacementResponseSchema, name: () => `${stack} ${agent}` },
            response,
            () => {
              output.line(sanitize(response.summary));
              const steps = response.steps.map(({ name, verdict, detail }) => {
                const isNeeded = response.placement === undefined || !matchSteps.has(name);
                const { sign, tone } =
                  verdict === StepVerdict.NO && !isNeeded ? optionalStep : (verdicts[verdict] ?? unknownVerdict);
                return `${output.paint(tone, sign)} ${name}: ${sanitize(detail)}`;
              });
              printSection(output, 'Steps', steps.join('\n'));
              printSection(output, 'Not healthy', unhealthy);
              printSection(
                output,
                'Latest events',
                renderSubtable(output, eventView, response.events, 'STACK', 'AGENT'),
              );
            },
          );
        }),
      ),
};

interface Filter {
  readonly stack?: string;
  readonly agent?: string;
  readonly phase?: string;
}

/** Lists the unhealthy objects, one per line; empty for a healthy placement. */
async function unhealthyLines(session: Session, placement: Placement | undefined): Promise<string> {
  if (!placement || placement.health === Health.HEALTHY || placement.health === Health.UNSPECIFIED) return '';
  const { objects = [] } = (await healthOn(session, placement.stackId, placement.agentId)) ?? {};
  const lines = objects.slice(0, maxListedObjects).map((object) => objectLine(session.output, object));
  const more = omittedText(lines.length, objects.length);
  return [...lines, ...(more === '' ? [] : [more])].join('\n');
}

const maxListedObjects = 10;

/** Steps that can match a stack with an agent. One match is enough, so that a "no" of the others is not a problem then. */
const matchSteps: ReadonlySet<string> = new Set(['target', 'label', 'annotation', 'selector']);

const unknownVerdict: { readonly sign: string; readonly tone: Tone } = { sign: '?', tone: 'dim' };

const optionalStep: typeof unknownVerdict = { sign: '○', tone: 'dim' };

const verdicts: Readonly<Record<StepVerdict, typeof unknownVerdict>> = {
  [StepVerdict.UNSPECIFIED]: unknownVerdict,
  [StepVerdict.YES]: { sign: '✓', tone: 'good' },
  [StepVerdict.NO]: { sign: '✗', tone: 'bad' },
  [StepVerdict.INFO]: { sign: '·', tone: 'dim' },
};
