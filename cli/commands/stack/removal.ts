import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { type Placement, PlacementPhase } from '../../../gen/brokkr/v1/placement_pb.ts';
import { styledLabelOf, styledPhases } from '../../format/enum-labels.ts';
import { placementView } from '../../format/placement.ts';
import {
  addSelectionOptions,
  type ChoiceOptions,
  confirmAll,
  isChosenByOption,
  selectFrom,
} from '../../options/choice.ts';
import { Failure, usageError } from '../../output/failure.ts';
import { confirm } from '../../output/prompt.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printEach, renderSubtable } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { listAgents } from '../agent/agent.ts';
import { type VerbDefinitions, withSession } from '../command.ts';
import { actOnEach } from '../many.ts';

export const verbs: VerbDefinitions = {
  'confirm-removal': (command) =>
    addSelectionOptions(
      withRemovalOptions(command.argument('[agent]', 'left out with --selector or --all').argument('[stack]')),
      'agent',
    )
      .addHelpText(
        'after',
        '\nWith --selector or --all, everything that the stack has held on these agents is shown and confirmed at once.',
      )
      .action(
        withSession(
          async (session, agent: string | undefined, stack: string | undefined, options: Options & ChoiceOptions) => {
            if (isChosenByOption(options)) return confirmMany(session, [agent, stack], options);
            if (agent === undefined || stack === undefined)
              throw usageError('an agent and a stack are needed', 'or a stack and --selector or --all');
            return confirmOne(session, agent, stack, options);
          },
        ),
      ),

  'forget-removal': (command) =>
    withRemovalOptions(command.argument('<agent>').argument('<stack>'))
      .addHelpText('after', "\nUse it for a lost cluster: the stack's objects stay in that cluster.")
      .action(
        withSession(async (session, agent: string, stack: string, options: Options) => {
          const { admin, output } = session;
          const existing = await findPlacement(session, agent, stack);
          await confirm(
            `Abandon the removal and leave its objects in the cluster? ${placementText(existing)}`,
            options.yes,
          );
          await admin.forgetRemoval({
            agent,
            stack: existing.stackId,
            generation: options.generation ?? existing.generation,
          });
          output.line(`the removal of stack ${existing.stack} from agent ${existing.agent} is abandoned`);
        }),
      ),
};

async function confirmOne(session: Session, agent: string, stack: string, options: Options): Promise<void> {
  const existing = await findPlacement(session, agent, stack);
  const generation = options.generation ?? existing.generation;
  // The broker itself rejects another generation, because the placement has changed.
  if (generation === existing.generation && !isHeld(existing))
    throw new Failure(`nothing waits for a confirmation: ${placementText(existing)}`, {
      hint: 'list what is held with: brokkr get placements --phase held',
    });
  await confirm(`Allow it to proceed? ${placementText(existing)}`, options.yes);
  printConfirmed(session, [await confirmShown(session, existing, generation)]);
}

/** Confirms what a stack has held on several agents, after it was shown. What is held by then in addition stays held. */
async function confirmMany(
  session: Session,
  [stack, extra]: readonly (string | undefined)[],
  options: Options & ChoiceOptions,
): Promise<void> {
  if (stack === undefined || extra !== undefined) throw usageError('give one stack, with --selector or --all');
  if (options.generation !== undefined) throw usageError('--generation is for one agent');
  const { broker, output } = session;
  const agents = new Set((await selectFrom(options, () => listAgents(session))).map(({ id }) => id));
  const placements = await allPages(
    (page) => broker.listPlacements({ stack, ...page }),
    (page) => page.placements,
  );
  const held = placements.filter((placement) => agents.has(placement.agentId) && isHeld(placement));
  if (held.length === 0) throw new Failure(`nothing of stack ${stack} waits for a confirmation on these agents`);
  if (!options.yes) output.note(renderSubtable(output, placementView, held, 'STACK', 'DESIRED', 'REPORTED', 'HEALTH'));
  const names = held.map(({ agent }) => agent);
  await confirmAll(`Allow stack ${held[0]!.stack} to proceed on`, 'agent', names, options.yes);
  const byAgent = new Map(held.map((placement) => [placement.agent, placement]));
  await actOnEach(
    output,
    'agent',
    names,
    (name) => confirmShown(session, byAgent.get(name)!, byAgent.get(name)!.generation),
    (confirmed) => printConfirmed(session, confirmed),
  );
}

/** Confirms a placement as it was shown. Throws a Failure when more is held by now. */
async function confirmShown({ admin }: Session, shown: Placement, generation: bigint): Promise<Placement> {
  const { agentId, stackId, heldKeys, order } = shown;
  const request = { agent: agentId, stack: stackId, generation, heldKeys, order };
  const { placement = shown } = await admin.confirmRemoval(request);
  if (placement.phase === PlacementPhase.HELD)
    throw new Failure(`more objects are held now than were shown: ${placementText(placement)}`);
  return placement;
}

function printConfirmed({ output }: Session, placements: readonly Placement[]): void {
  printEach(output, placementView, placements, ({ agent, stack }) => `agent ${agent} may proceed with stack ${stack}`);
}

interface Options {
  readonly generation?: bigint;
  readonly yes?: boolean;
}

function withRemovalOptions(command: Command): Command {
  return command
    .option(
      '--generation <number>',
      'only if the placement has this generation (default: the current one)',
      parseGeneration,
    )
    .option('-y, --yes', 'skip the confirmation prompt');
}

async function findPlacement({ broker }: Session, agent: string, stack: string): Promise<Placement> {
  const { placements } = await broker.listPlacements({ agent, stack, pageSize: 1 });
  const [placement] = placements;
  if (!placement) throw new Failure(`agent ${agent} has no placement of stack ${stack}`);
  return placement;
}

/** Tells whether a placement waits for a confirmation. */
function isHeld({ phase }: Placement): boolean {
  return phase === PlacementPhase.HELD || phase === PlacementPhase.AHEAD;
}

function placementText({ stack, agent, phase, removalReason, message }: Placement): string {
  const reason = [removalReason, message].filter((text) => text !== '').join('; ');
  return sanitize(
    `Stack ${stack} on agent ${agent} is ${styledLabelOf(styledPhases, phase).text}${reason ? ` (${reason})` : ''}.`,
  );
}

function parseGeneration(text: string): bigint {
  if (!/^[1-9]\d{0,18}$/.test(text))
    throw new InvalidArgumentError('use the number that `get placements -o json` shows.');
  return BigInt(text);
}
