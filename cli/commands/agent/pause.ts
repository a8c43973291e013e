import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { addChoiceOptions, type ChoiceOptions, chooseNames } from '../../options/choice.ts';
import { printEach } from '../../output/view.ts';
import type { Session } from '../../session/session.ts';
import { type DefineCommand, type VerbDefinitions, withSession } from '../command.ts';
import { actOnEach } from '../many.ts';
import { agentView, listAgents } from './agent.ts';

export const verbs: VerbDefinitions = {
  pause: manyAgentsCommand('Pause', 'is paused and changes nothing', ({ admin }, agent) => admin.pauseAgent({ agent })),
  resume: manyAgentsCommand('Resume', 'is resumed', ({ admin }, agent) => admin.resumeAgent({ agent })),
};

/** Defines a command that acts on agents: those named, or those that `--selector` or `--all` choose. */
function manyAgentsCommand(
  question: string,
  done: string,
  act: (session: Session, name: string) => Promise<{ readonly agent?: Agent | undefined }>,
): DefineCommand {
  return (command) =>
    addChoiceOptions(command.argument('[agents...]'), 'agent').action(
      withSession(async (session, named: string[], options: ChoiceOptions) => {
        const { output } = session;
        const list = () => listAgents(session);
        const names = await chooseNames(named, options, { noun: 'agent', question, list });
        await actOnEach(
          output,
          'agent',
          names,
          async (name) => (await act(session, name)).agent!,
          (agents) => printEach(output, agentView, agents, ({ name }) => `agent ${name} ${done}`),
        );
      }),
    );
}
