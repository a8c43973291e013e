import { registrationView } from '../../format/registration.ts';
import { printList, printOne } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { allPages } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('registrations')
      .alias('registration')
      .description('which agent serves which generator')
      .argument('[agent]')
      .argument('[generator]')
      .option('--agent <agent>', 'only of this agent')
      .option('--generator <generator>', 'only with this generator')
      .action(
        withSession(
          async ({ admin, out }, agent: string | undefined, generator: string | undefined, options: Filter) => {
            const filter = { agent: agent ?? options.agent, generator: generator ?? options.generator };
            const registrations = await allPages(
              (page) => admin.listRegistrations({ ...filter, ...page }),
              (page) => page.registrations,
            );
            printList(out, registrationView, registrations);
          },
        ),
      ),

  register: (command) =>
    command
      .argument('<agent>')
      .argument('<generator>')
      .option('--service-account <namespace/name>', 'whom the agent impersonates for its stacks; "" for nobody')
      .action(
        withSession(async ({ admin, out }, agent: string, generator: string, options: { serviceAccount?: string }) => {
          // Approving, or saying it again, must not take the account away.
          const kept = async () =>
            (await admin.listRegistrations({ agent, generator })).registrations[0]?.serviceAccount;
          const serviceAccount = options.serviceAccount ?? (await kept());
          const { registration } = await admin.addRegistration({ agent, generator, serviceAccount });
          printOne(out, registrationView, registration!, () => {
            const account = registration!.serviceAccount === '' ? '' : `, as ${registration!.serviceAccount}`;
            out.line(`agent ${registration!.agent} is registered with generator ${registration!.generator}${account}`);
          });
        }),
      ),

  deregister: (command) =>
    command
      .argument('<agent>')
      .argument('<generator>')
      .option('-y, --yes', 'do not ask')
      .action(
        withSession(async ({ admin, out }, agent: string, generator: string, { yes }: { yes?: boolean }) => {
          await confirm(`Remove everything of generator ${generator} from agent ${agent}?`, yes);
          await admin.removeRegistration({ agent, generator });
          out.line(`agent ${agent} is no longer registered with generator ${generator}`);
        }),
      ),
};

interface Filter {
  readonly agent?: string;
  readonly generator?: string;
}
