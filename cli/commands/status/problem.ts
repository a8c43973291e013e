import { omittedText } from '../../format/health.ts';
import { problemView } from '../../format/problem.ts';
import { printList } from '../../output/view.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('problems')
      .alias('problem')
      .description('what keeps stacks from being applied and healthy, a row for each cause, worst first')
      .argument('[stack]')
      .option('--stack <stack>', 'only those of this stack')
      .action(
        withSession(async ({ broker, output }, stack: string | undefined, options: { readonly stack?: string }) => {
          const { problems, omitted } = await broker.listProblems({ stack: stack ?? options.stack });
          printList(output, problemView, problems);
          const more = omittedText(problems.length, problems.length + omitted);
          if (more !== '') output.note(more);
        }),
      ),
};
