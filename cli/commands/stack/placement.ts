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
import { printList, printOne, renderSubtable, sanitize, type Tone } from '../../output/output.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('placements')
      .alias('placement')
      .description('which agent serves, or still has to remove, which stack')
      .argument('[stack]')
      .argument('[agent]')
      .option('--stack <stack>', 'only of this stack')
      .option('--agent <agent>', 'only on this agent')
      .addOption(new Option('--phase <phase>', 'only in this phase').choices(choicesOf(styledPhases)))
      .action(
        withSession(async ({ broker, out }, stack: string | undefined, agent: string | undefined, options: Filter) => {
          const filter = {
            stack: stack ?? options.stack,
            agent: agent ?? options.agent,
            phase: valueOfLabel<PlacementPhase>(styledPhases, options.phase),
          };
          const placements = await allPages(
            (page) => broker.listPlacements({ ...filter, ...page }),
            (page) => page.placements,
          );
          printList(out, placementView, placements);
        }),
      ),

  explain: (command) =>
    command
      .argument('<stack>')
      .argument('<agent>')
      .action(
        withSession(async (session, stack: string, agent: string) => {
          const { broker, out } = session;
          const answer = await broker.explainPlacement({ stack, agent });
          const unhealthy = out.format === 'table' ? await unhealthyLines(session, answer.placement) : '';
          printOne(out, { schema: ExplainPlacementResponseSchema, name: () => `${stack} ${agent}` }, answer, () => {
            out.line(sanitize(answer.summary));
            const steps = answer.steps.map(({ name, verdict, detail }) => {
              const isNeeded = answer.placement === undefined || !matchSteps.has(name);
              const { sign, tone } =
                verdict === StepVerdict.NO && !isNeeded ? optionalStep : (verdicts[verdict] ?? unknownVerdict);
              return `${out.paint(tone, sign)} ${name}: ${sanitize(detail)}`;
            });
            printSection(out, 'Step by step', steps.join('\n'));
            printSection(out, 'Not healthy', unhealthy);
            printSection(out, 'Last events', renderSubtable(out, eventView, answer.events, 'STACK', 'AGENT'));
          });
        }),
      ),
};

interface Filter {
  readonly stack?: string;
  readonly agent?: string;
  readonly phase?: string;
}

/** Which objects are not healthy, a line each; the steps tell why as a whole. */
async function unhealthyLines(session: Session, placement: Placement | undefined): Promise<string> {
  if (!placement || placement.health === Health.HEALTHY || placement.health === Health.UNSPECIFIED) return '';
  const { objects = [] } = (await healthOn(session, placement.stackId, placement.agentId)) ?? {};
  const shown = objects.slice(0, maxListedObjects).map((object) => objectLine(session.out, object));
  const more = omittedText(shown.length, objects.length);
  return [...shown, ...(more === '' ? [] : [more])].join('\n');
}

const maxListedObjects = 10;

/** How a stack can be meant for an agent: one of them is enough, and then the others' "no" is no trouble. */
const matchSteps: ReadonlySet<string> = new Set(['target', 'label', 'annotation', 'selector']);

const unknownVerdict: { readonly sign: string; readonly tone: Tone } = { sign: '?', tone: 'dim' };

const optionalStep: typeof unknownVerdict = { sign: '○', tone: 'dim' };

const verdicts: Readonly<Record<StepVerdict, typeof unknownVerdict>> = {
  [StepVerdict.UNSPECIFIED]: unknownVerdict,
  [StepVerdict.YES]: { sign: '✓', tone: 'good' },
  [StepVerdict.NO]: { sign: '✗', tone: 'bad' },
  [StepVerdict.INFO]: { sign: '·', tone: 'dim' },
};
