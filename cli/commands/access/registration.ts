import { registrationView } from '../../format/registration.ts';
import { confirm } from '../../output/prompt.ts';
import { printList, printOne } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('registrations')
      .alias('registration')
      .description('registrations of agents with generators')
      .argument('[agent]')
      .argument('[generator]')
      .option('--agent <agent>', 'only those of this agent')
      .option('--generator <generator>', 'only those with this generator')
      .action(
        withSession(
          async ({ admin, output }, agent: string | undefined, generator: string | undefined, options: Filter) => {
            const filter = { agent: agent ?? options.agent, generator: generator ?? options.generator };
            const registrations = await allPages(
              (page) => admin.listRegistrations({ ...filter, ...page }),
              (page) => page.registrations,
            );
            printList(output, registrationView, registrations);
          },
        ),
      ),

  register: (command) =>
    command
      .argument('<agent>')
      .argument('<generator>')
      .option(
        '--service-account <namespace/name>',
        'ServiceAccount that the agent impersonates for its stacks; "" for none',
      )
      .action(
        withSession(
          async ({ admin, output }, agent: string, generator: string, options: { serviceAccount?: string }) => {
            // Approving a request, or repeating the command, must not remove the account.
            const currentAccount = async () =>
              (await admin.listRegistrations({ agent, generator })).registrations[0]?.serviceAccount;
            const serviceAccount = options.serviceAccount ?? (await currentAccount());
            const { registration } = await admin.addRegistration({ agent, generator, serviceAccount });
            printOne(output, registrationView, registration!, () => {
              const account = registration!.serviceAccount === '' ? '' : `, as ${registration!.serviceAccount}`;
              output.line(
                `agent ${registration!.agent} is registered with generator ${registration!.generator}${account}`,
              );
            });
          },
        ),
      ),

  deregister: (command) =>
    command
      .argument('<agent>')
      .argument('<generator>')
      .option('-y, --yes', 'skip the confirmation prompt')
      .action(
        withSession(async ({ admin, output }, agent: string, generator: string, { yes }: { yes?: boolean }) => {
          await confirm(`Remove everything of generator ${generator} from agent ${agent}?`, yes);
          await admin.removeRegistration({ agent, generator });
          output.line(`agent ${agent} is no longer registered with generator ${generator}`);
        }),
      ),
};

interface Filter {
  readonly agent?: string;
  readonly generator?: string;
}
