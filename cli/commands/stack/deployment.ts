import { parseExact } from '../../../contract/exact-json.ts';
import { objectText } from '../../../contract/object-key.ts';
import { type GetDeploymentResponse, GetDeploymentResponseSchema } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { deploymentName, deploymentView } from '../../format/deployment.ts';
import { printFields, printSection } from '../../format/describe.ts';
import { timestampText } from '../../format/enum-labels.ts';
import { kubernetesYaml } from '../../manifest/yaml.ts';
import { integerBetween, parseLimit } from '../../options/numbers.ts';
import type { Output } from '../../output/output.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printList, printOne } from '../../output/view.ts';
import { allPages, namedOrAll } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  get: (command) =>
    command
      .command('deployments')
      .alias('deployment')
      .description('revisions of stacks, newest first')
      .argument('[names...]', 'STACK, STACK@REVISION or id')
      .option('--stack <stack>', 'only those of this stack')
      .option('--limit <count>', 'maximum number to show', parseLimit)
      .action(withSession(getDeployments)),

  describe: (command) =>
    command
      .command('deployment')
      .alias('deployments')
      .description('a revision and its objects')
      .argument('<name>', 'STACK (its current revision), STACK@REVISION or id')
      .option('--manifest', 'print the objects as YAML, or with -o json one per line')
      .action(
        withSession(async ({ broker, output }, name: string, { manifest }: { manifest?: boolean }) => {
          const response = await broker.getDeployment(parseName(name));
          if (manifest) printManifest(output, response);
          else printDeployment(output, response);
        }),
      ),
};

interface Filter {
  readonly stack?: string;
  readonly limit?: number;
}

async function getDeployments({ broker, output }: Session, names: string[], { stack, limit }: Filter): Promise<void> {
  const deployments = await namedOrAll(
    names,
    async (name) => (await broker.getDeployment(parseName(name))).deployment!,
    () =>
      allPages(
        (page) => broker.listDeployments({ stack, ...page }),
        (page) => page.deployments,
        limit,
      ),
  );
  printList(output, deploymentView, deployments);
}

function printDeployment(output: Output, response: GetDeploymentResponse): void {
  // The objects may contain Secrets, so they are printed only with --manifest.
  const withoutManifest: GetDeploymentResponse = { ...response, manifest: new Uint8Array() };
  const deployment = response.deployment!;
  const view = { schema: GetDeploymentResponseSchema, name: () => deploymentName(deployment) };
  printOne(output, view, withoutManifest, () => {
    printFields(output, [
      ['Deployment', deploymentName(deployment)],
      ['Id', deployment.id],
      ['Current', deployment.current ? 'yes' : 'no'],
      ['Namespace', deployment.namespace],
      ['Message', deployment.message],
      ['Rollback of', deployment.rollbackOf === 0 ? '' : `revision ${deployment.rollbackOf}`],
      ['Created', timestampText(deployment.createTime)],
      ['By', deployment.createdBy],
      ['Checksum', deployment.checksum],
      ['Size', `${deployment.size} bytes`],
      ['Trace', deployment.traceId],
    ]);
    printSection(output, 'Objects', response.objects.map((object) => sanitize(objectText(object))).join('\n'));
  });
}

function printManifest(output: Output, { manifest }: GetDeploymentResponse): void {
  const lines = Buffer.from(manifest)
    .toString()
    .split('\n')
    .filter((line) => line !== '');
  if (output.format === 'json') {
    for (const line of lines) output.line(line);
    return;
  }
  const documents = lines.map((line) => yamlOf(parseExact(line, BigInt) as Record<string, unknown>));
  output.line(documents.join('---\n').trimEnd());
}

/** Writes an object with its identifying fields first, as people do. */
function yamlOf({ apiVersion, kind, metadata, ...rest }: Record<string, unknown>): string {
  return kubernetesYaml({ apiVersion, kind, metadata, ...rest });
}

const parseRevision = integerBetween(1);

function parseName(name: string): { id?: string; stack?: string; revision?: number } {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name)) return { id: name };
  const [stack, revision] = name.split('@');
  return { stack, revision: revision === undefined ? 0 : parseRevision(revision) };
}
