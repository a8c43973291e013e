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
import { printList, printOne, renderSubtable, type View } from '../../output/output.ts';
import { confirm } from '../../output/prompt.ts';
import { allPages } from '../../session/pages.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const generatorView: View<typeof GeneratorSchema> = {
  schema: GeneratorSchema,
  listField: 'generators',
  name: ({ name }) => name,
  columns: [
    { title: 'NAME', text: ({ name }) => name },
    { title: 'STACKS', text: ({ stackCount }) => String(stackCount) },
    { title: 'AGENTS', text: ({ agentCount }) => String(agentCount) },
    { title: 'REGISTRATION', text: ({ registration }) => keyOfValue(registrationPolicies, registration) },
    { title: 'AGE', text: ({ createTime }) => ageText(createTime) },
    { title: 'STATUS', text: statusOf },
    { title: 'DESCRIPTION', text: ({ description }) => description },
  ],
};

const registrationOption = () =>
  new Option('--registration <policy>', 'whether an agent may register by itself').choices(
    Object.keys(registrationPolicies),
  );

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('generators')
      .alias('generator')
      .description('the tenants: who owns stacks')
      .argument('[names...]')
      .option('--show-deleted', 'also those that are being removed')
      .action(
        withSession(async ({ admin, out }, names: string[], { showDeleted }: { showDeleted?: boolean }) => {
          const named = names.map(async (generator) => (await admin.getGenerator({ generator })).generator!);
          const generators =
            names.length > 0
              ? await Promise.all(named)
              : await allPages(
                  (page) => admin.listGenerators({ showDeleted, ...page }),
                  (page) => page.generators,
                );
          printList(out, generatorView, generators);
        }),
      ),

  describe: (command) =>
    command
      .command('generator')
      .alias('generators')
      .description('a generator, its stacks and its agents')
      .argument('<name>')
      .action(
        withSession(async ({ admin, broker, out }, name: string) => {
          const generator = (await admin.getGenerator({ generator: name })).generator!;
          if (out.format !== 'table') return printOne(out, generatorView, generator, () => {});
          const of = { generator: generator.name };
          const [stacks, registrations] = await Promise.all([
            allPages(
              (page) => broker.listStacks({ ...of, ...page }),
              (page) => page.stacks,
            ),
            allPages(
              (page) => admin.listRegistrations({ ...of, ...page }),
              (page) => page.registrations,
            ),
          ]);
          printFields(out, [
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
          printSection(out, 'Stacks', renderSubtable(out, stackView, stacks));
          printSection(out, 'Agents', renderSubtable(out, registrationView, registrations, 'GENERATOR'));
        }),
      ),

  create: (command) =>
    limitOptions(
      command
        .command('generator')
        .description('a tenant; prints its key, once')
        .argument('<name>')
        .option('--description <text>', 'for people')
        .addOption(registrationOption()),
    )
      .option('--pak-file <file>', 'write the key to this new file (0600) instead')
      .action(
        withSession(async ({ admin, out }, name: string, options: Settings & { pakFile?: string }) => {
          const { description, registration, pakFile } = options;
          const answer = await admin.createGenerator({
            requestId: randomUUID(),
            name,
            description,
            registration: registration && registrationPolicies[registration],
            rules: mergeRules(options),
            quota: mergeQuota(options),
          });
          const retryCommand = `brokkr rotate generator ${name} --now`;
          printNewKey(out, {
            schema: CreateGeneratorResponseSchema,
            answer,
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
        .description('its description, registration policy, rules and quota')
        .argument('<name>')
        .option('--description <text>', 'for people')
        .addOption(registrationOption()),
    )
      .option('--etag <etag>', 'only if it has not changed since')
      .action(
        withSession(async ({ admin, out }, name: string, options: Settings & { etag?: string }) => {
          const { description, registration } = options;
          const changesLimits = mergeRules(options) !== undefined || mergeQuota(options) !== undefined;
          // Rules and quotas are written whole: what no option names stays as it is, unless it changes meanwhile.
          const before = changesLimits ? (await admin.getGenerator({ generator: name })).generator : undefined;
          const settings = {
            description,
            registration: registration && registrationPolicies[registration],
            rules: mergeRules(options, before?.rules),
            quota: mergeQuota(options, before?.quota),
          };
          const paths = Object.entries(settings).flatMap(([path, value]) => (value === undefined ? [] : [path]));
          if (paths.length === 0) throw usageError('nothing to change', 'say what, as --help lists it');
          const etag = options.etag ?? before?.etag;
          const { generator } = await admin.updateGenerator({
            generator: name,
            etag,
            ...settings,
            updateMask: { paths },
          });
          printOne(out, generatorView, generator!, () => out.line(`generator ${name} updated`));
        }),
      ),

  delete: (command) =>
    command
      .command('generator')
      .alias('generators')
      .description('ends a tenant and its keys')
      .argument('<name>')
      .option('--cascade', 'also its stacks, removed from every agent')
      .option('--etag <etag>', 'only if it has not changed since')
      .option('-y, --yes', 'do not ask')
      .action(
        withSession(
          async ({ admin, out }, name: string, options: { cascade?: boolean; etag?: string; yes?: boolean }) => {
            const { generator: found } = await admin.getGenerator({ generator: name });
            const stacks = options.cascade ? ` with ${pluralize(found!.stackCount, 'stack')}` : '';
            await confirm(`Delete generator ${found!.name}${stacks}?`, options.yes);
            const { cascade, etag } = options;
            const { generator } = await admin.deleteGenerator({ generator: found!.id, cascade, etag });
            printOne(out, generatorView, generator!, () => {
              const rest = generator!.stackCount > 0 ? ', as soon as its stacks are removed' : '';
              out.line(`generator ${generator!.name} deleted${rest}`);
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
