import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { type Placement, PlacementPhase } from '../../../gen/brokkr/v1/placement_pb.ts';
import { styledLabelOf, styledPhases } from '../../format/enum-labels.ts';
import { placementView } from '../../format/placement.ts';
import { Failure } from '../../output/failure.ts';
import { confirm } from '../../output/prompt.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printOne } from '../../output/view.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  'confirm-removal': (command) =>
    removalArguments(command).action(
      withSession(async (session, agent: string, stack: string, options: Options) => {
        const { admin, output } = session;
        const existing = await findPlacement(session, agent, stack);
        const generation = options.generation ?? existing.generation;
        // The broker itself rejects another generation, because the placement has changed.
        if (generation === existing.generation && !isHeld(existing))
          throw new Failure(`nothing waits for a confirmation: ${placementText(existing)}`, {
            hint: 'list what is held with: brokkr get placements --phase held',
          });
        await confirm(`Allow it to proceed? ${placementText(existing)}`, options.yes);
        const { stackId, heldKeys, order } = existing;
        const { placement = existing } = await admin.confirmRemoval({
          agent,
          stack: stackId,
          generation,
          heldKeys,
          order,
        });
        if (placement.phase === PlacementPhase.HELD)
          throw new Failure(`more objects are held now than were shown: ${placementText(placement)}`);
        printOne(output, placementView, placement, () => {
          output.line(`agent ${existing.agent} may proceed with stack ${existing.stack}`);
        });
      }),
    ),

  'forget-removal': (command) =>
    removalArguments(command)
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

interface Options {
  readonly generation?: bigint;
  readonly yes?: boolean;
}

function removalArguments(command: Command): Command {
  return command
    .argument('<agent>')
    .argument('<stack>')
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
