import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { type Placement, PlacementPhase } from '../../../gen/brokkr/v1/placement_pb.ts';
import { styledLabelOf, styledPhases } from '../../format/enum-labels.ts';
import { placementView } from '../../format/placement.ts';
import { Failure } from '../../output/failure.ts';
import { printOne, sanitize } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  'confirm-removal': (command) =>
    removalArguments(command).action(
      withSession(async (session, agent: string, stack: string, options: Options) => {
        const { admin, out } = session;
        const found = await findPlacement(session, agent, stack);
        const generation = options.generation ?? found.generation;
        // Of another situation than the one that is meant, the broker says that it has changed.
        if (generation === found.generation && !isHeld(found))
          throw new Failure(`nothing is held: ${placementText(found)}`, {
            hint: 'brokkr get placements --phase held shows what is',
          });
        await confirm(`Let it go on? ${placementText(found)}`, options.yes);
        const { stackId, heldKeys, order } = found;
        const { placement = found } = await admin.confirmRemoval({
          agent,
          stack: stackId,
          generation,
          heldKeys,
          order,
        });
        if (placement.phase === PlacementPhase.HELD)
          throw new Failure(`more is held by now than was shown: ${placementText(placement)}`);
        printOne(out, placementView, placement, () => {
          out.line(`agent ${found.agent} may go on with stack ${found.stack}`);
        });
      }),
    ),

  'forget-removal': (command) =>
    removalArguments(command)
      .addHelpText('after', '\nFor a cluster that is lost: whatever is there of the stack stays there.')
      .action(
        withSession(async (session, agent: string, stack: string, options: Options) => {
          const { admin, out } = session;
          const found = await findPlacement(session, agent, stack);
          await confirm(`Forget it, and leave its objects where they are? ${placementText(found)}`, options.yes);
          await admin.forgetRemoval({
            agent,
            stack: found.stackId,
            generation: options.generation ?? found.generation,
          });
          out.line(`the removal of stack ${found.stack} from agent ${found.agent} is forgotten`);
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
      'only if the placement has this generation (default: as it is now)',
      parseGeneration,
    )
    .option('-y, --yes', 'do not ask');
}

async function findPlacement({ broker }: Session, agent: string, stack: string): Promise<Placement> {
  const { placements } = await broker.listPlacements({ agent, stack, pageSize: 1 });
  const [found] = placements;
  if (!found) throw new Failure(`agent ${agent} neither serves nor removes stack ${stack}`);
  return found;
}

/** Whether a confirmation is waited for. */
function isHeld({ phase }: Placement): boolean {
  return phase === PlacementPhase.HELD || phase === PlacementPhase.AHEAD;
}

function placementText({ stack, agent, phase, removalReason, message }: Placement): string {
  const why = [removalReason, message].filter((text) => text !== '').join('; ');
  return sanitize(
    `Stack ${stack} on agent ${agent} is ${styledLabelOf(styledPhases, phase).text}${why ? ` (${why})` : ''}.`,
  );
}

function parseGeneration(text: string): bigint {
  if (!/^[1-9]\d{0,18}$/.test(text))
    throw new InvalidArgumentError('it is a number, as `get placements -o json` shows it.');
  return BigInt(text);
}
