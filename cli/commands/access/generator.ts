import { randomUUID } from 'node:crypto';
import { Option } from 'commander';
import { CreateGeneratorResponseSchema, type Generator, GeneratorSchema } from '../../../gen/brokkr/v1/generator_pb.ts';
import { printFields, printSection } from '../../format/describe.ts';
import { ageText, keyOfValue, pluralize, registrationPolicies, timestampText } from '../../format/enum-labels.ts';
import { registrationView } from '../../format/registration.ts';
import { stackView } from '../../format/stack.ts';
import { type LimitOptions, limitFields, limitOptions, mergeQuota, mergeRules } from '../../options/limits.ts';
import { usageError } from '../../output/failure.ts';
import { printNewKey } from '../../output/new-key.ts';
import { confirm } from '../../output/prompt.ts';
import { printList, printOne, renderSubtable, type View } from '../../output/view.ts';
import { allPages, namedOrAll } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const generatorView: View<typeof GeneratorSchema> = {
  schema: GeneratorSchema,
  listField: 'generators',
  name: ({ name }) => name,
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'STACKS', text: ({ stackCount }) => String(stackCount) },
    { title: 'AGENTS', text: ({ agentCount }) => String(agentCount) },
    { title: 'REGISTRATION', text: ({ registration }) => keyOfValue(registrationPolicies, registration), drop: 1 },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
    { title: 'STATUS', text: statusOf },
    { title: 'DESCRIPTION', text: ({ description }) => description, prose: true },
  ],
};

const registrationOption = () =>
  new Option('--registration <policy>', 'whether agents may register by themselves').choices(
    Object.keys(registrationPolicies),
  );

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('generators')
      .alias('generator')
      .description('generators: the tenants that own stacks')
      .argument('[names...]')
      .option('--show-deleted', 'include those that are being deleted')
      .action(
        withSession(async ({ admin, output }, names: string[], { showDeleted }: { showDeleted?: boolean }) => {
          const generators = await namedOrAll(
            names,
            async (generator) => (await admin.getGenerator({ generator })).generator!,
            () =>
              allPages(
                (page) => admin.listGenerators({ showDeleted, ...page }),
                (page) => page.generators,
              ),
          );
          printList(output, generatorView, generators);
        }),
      ),

  describe: (command) =>
    command
      .command('generator')
      .alias('generators')
      .description('a generator with its stacks and agents')
      .argument('<name>')
      .action(
        withSession(async ({ admin, broker, output }, name: string) => {
          const generator = (await admin.getGenerator({ generator: name })).generator!;
          if (output.format !== 'table') return printOne(output, generatorView, generator, () => {});
          const filter = { generator: generator.name };
          const [stacks, registrations] = await Promise.all([
            allPages(
              (page) => broker.listStacks({ ...filter, ...page }),
              (page) => page.stacks,
            ),
            allPages(
              (page) => admin.listRegistrations({ ...filter, ...page }),
              (page) => page.registrations,
            ),
          ]);
          printFields(output, [
            ['Generator', generator.name],
            ['Id', generator.id],
            ['Description', generator.description],
            ['Registration', keyOfValue(registrationPolicies, generator.registration)],
            ...limitFields(generator),
            ['Status', statusOf(generator)],
            ['Created', timestampText(generator.createTime)],
            ['Deleted', timestampText(generator.deleteTime)],
            ['Etag', generator.etag],
          ]);
          printSection(output, 'Stacks', renderSubtable(output, stackView, stacks));
          printSection(output, 'Agents', renderSubtable(output, registrationView, registrations, 'GENERATOR'));
        }),
      ),

  create: (command) =>
    limitOptions(
      command
        .command('generator')
        .description('a generator (tenant); prints its key once')
        .argument('<name>')
        .option('--description <text>', 'free text')
        .addOption(registrationOption()),
    )
      .option('--pak-file <file>', 'write the key to this new file (mode 0600) instead of printing it')
      .action(
        withSession(async ({ admin, output }, name: string, options: Settings & { pakFile?: string }) => {
          const { description, registration, pakFile } = options;
          const response = await admin.createGenerator({
            requestId: randomUUID(),
            name,
            description,
            registration: registration && registrationPolicies[registration],
            rules: mergeRules(options),
            quota: mergeQuota(options),
          });
          const retryCommand = `brokkr rotate generator ${name} --now`;
          printNewKey(output, {
            schema: CreateGeneratorResponseSchema,
            response,
            summary: `generator ${name} created`,
            pakFile,
            retryCommand,
          });
        }),
      ),

  update: (command) =>
    limitOptions(
      command
        .command('generator')
        .description("a generator's description, registration policy, rules and quota")
        .argument('<name>')
        .option('--description <text>', 'free text')
        .addOption(registrationOption()),
    )
      .option('--etag <etag>', 'change it only if this is still its etag')
      .action(
        withSession(async ({ admin, output }, name: string, options: Settings & { etag?: string }) => {
          const { description, registration } = options;
          const changesLimits = mergeRules(options) !== undefined || mergeQuota(options) !== undefined;
          // Rules and quotas are replaced as a whole, so options are merged into the current ones; the etag detects other changes.
          const before = changesLimits ? (await admin.getGenerator({ generator: name })).generator : undefined;
          const settings = {
            description,
            registration: registration && registrationPolicies[registration],
            rules: mergeRules(options, before?.rules),
            quota: mergeQuota(options, before?.quota),
          };
          const paths = Object.entries(settings).flatMap(([path, value]) => (value === undefined ? [] : [path]));
          if (paths.length === 0)
            throw usageError('nothing to change', 'brokkr update generator --help lists the settings');
          const etag = options.etag ?? before?.etag;
          const { generator } = await admin.updateGenerator({
            generator: name,
            etag,
            ...settings,
            updateMask: { paths },
          });
          printOne(output, generatorView, generator!, () => output.line(`generator ${name} updated`));
        }),
      ),

  delete: (command) =>
    command
      .command('generator')
      .alias('generators')
      .description('delete a generator and revoke its keys')
      .argument('<name>')
      .option('--cascade', 'also delete its stacks and remove them from every agent')
      .option('--etag <etag>', 'delete it only if this is still its etag')
      .option('-y, --yes', 'skip the confirmation prompt')
      .action(
        withSession(
          async ({ admin, output }, name: string, options: { cascade?: boolean; etag?: string; yes?: boolean }) => {
            const { generator: existing } = await admin.getGenerator({ generator: name });
            const stacks = options.cascade ? ` with ${pluralize(existing!.stackCount, 'stack')}` : '';
            await confirm(`Delete generator ${existing!.name}${stacks}?`, options.yes);
            const { cascade, etag } = options;
            const { generator } = await admin.deleteGenerator({ generator: existing!.id, cascade, etag });
            printOne(output, generatorView, generator!, () => {
              const remaining = generator!.stackCount > 0 ? '; its stacks still have to be removed' : '';
              output.line(`generator ${generator!.name} deleted${remaining}`);
            });
          },
        ),
      ),
};

interface Settings extends LimitOptions {
  readonly description?: string;
  readonly registration?: keyof typeof registrationPolicies;
}

function statusOf({ system, deleteTime }: Generator): string {
  if (deleteTime) return 'being deleted';
  return system ? 'system' : 'live';
}
