import { inDefaultNamespace } from '../../../contract/default-namespace.ts';
import { parseExact } from '../../../contract/exact-json.ts';
import { keyOf, objectText } from '../../../contract/object-key.ts';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { previewStack, stackRef } from '../../deploy/apply.ts';
import { printSubmission, servingAgentsText } from '../../deploy/submission.ts';
import { pluralize } from '../../format/enum-labels.ts';
import { idOf, type ManifestObject, objectsOf, unifiedDiff } from '../../manifest/differences.ts';
import { readSubmission } from '../../manifest/manifest.ts';
import { type ManifestOptions, manifestOptions, namespaceOf } from '../../options/manifest-options.ts';
import { splitStackName } from '../../options/stack-options.ts';
import { Failure } from '../../output/failure.ts';
import type { Output } from '../../output/output.ts';
import { sanitize, sanitizeLine } from '../../output/sanitize.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  diff: (command) =>
    manifestOptions(command)
      .requiredOption('--stack <stack>', 'NAME or GENERATOR/NAME')
      .option('--allow-empty', 'accept a submission without objects')
      .option('--exit-code', 'exit with 1 if something would change')
      .addHelpText(
        'after',
        '\nThe broker compares the objects as in apply --dry-run and changes nothing. Values of Secrets are hidden.',
      )
      .action(withSession(diff)),
};

interface DiffOptions extends ManifestOptions {
  readonly stack: string;
  readonly allowEmpty?: boolean;
  readonly exitCode?: boolean;
}

async function diff(session: Session, options: DiffOptions): Promise<void> {
  const { broker, output } = session;
  const { allowEmpty, filename, recursive = false } = options;
  const submission = await readSubmission(filename, recursive);
  const namespace = namespaceOf(options);
  const spec = { ...splitStackName(options.stack), submission, namespace, message: undefined, allowEmpty };
  const preview = await previewStack(session, spec);
  const stack = stackRef(spec);
  if (!preview)
    throw new Failure(`stack ${stack} does not exist, so all objects would be new`, {
      hint: `create it with: brokkr apply --stack ${stack}`,
    });
  if (output.format !== 'table') printSubmission(output, preview);
  else {
    const manifest = preview.changes.length === 0 ? undefined : (await broker.getDeployment({ stack })).manifest;
    const after = inDefaultNamespace(objectsOf(submission.bytes), preview.namespace);
    printDifferences(output, preview, parseManifest(manifest), after);
  }
  if (options.exitCode && preview.changes.length > 0)
    throw new Failure(`${pluralize(preview.changes.length, 'object')} of stack ${stack} would change`);
}

function parseManifest(manifest: Uint8Array | undefined): ManifestObject[] {
  const lines = Buffer.from(manifest ?? [])
    .toString()
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => parseExact(line, BigInt) as ManifestObject);
}

function printDifferences(
  output: Output,
  preview: SubmitDeploymentResponse,
  before: readonly ManifestObject[],
  after: readonly ManifestObject[],
): void {
  const [oldObjects, newObjects] = [before, after].map(
    (objects) => new Map(objects.map((object) => [keyOf(idOf(object)), object])),
  );
  for (const { object } of preview.changes) {
    const key = keyOf(object!);
    for (const line of unifiedDiff(oldObjects?.get(key), newObjects?.get(key), sanitize(objectText(object))).split(
      '\n',
    ))
      output.line(colourDiffLine(output, sanitizeLine(line)));
  }
  output.line(preview.changes.length === 0 ? 'nothing would change' : servingAgentsText(preview));
}

function colourDiffLine(output: Output, line: string): string {
  if (/^(---|\+\+\+) /.test(line)) return output.paint('strong', line);
  if (line.startsWith('+')) return output.paint('good', line);
  if (line.startsWith('-')) return output.paint('bad', line);
  return line.startsWith('@@') ? output.paint('dim', line) : line;
}
