import { keyOf, objectText } from '../../../contract/object-key.ts';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { previewStack, stackRef } from '../../deploy/apply.ts';
import { printSubmission, servingAgentsText } from '../../deploy/submission.ts';
import { pluralize } from '../../format/enum-labels.ts';
import { idOf, type ManifestObject, objectsOf, unifiedDiff } from '../../manifest/differences.ts';
import { readSubmission } from '../../manifest/manifest.ts';
import { collect } from '../../options/collect.ts';
import { splitStackName } from '../../options/stack-options.ts';
import { Failure } from '../../output/failure.ts';
import { type Output, sanitize, sanitizeLine } from '../../output/output.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  diff: (command) =>
    command
      .requiredOption('-f, --filename <file>', 'YAML or JSON file, a folder of them, or - ; may be repeated', collect)
      .requiredOption('--stack <stack>', 'NAME or GENERATOR/NAME')
      .option('-R, --recursive', 'look in folders of a folder too')
      .option('--allow-empty', 'compare with no objects at all')
      .option('--exit-code', 'end with 1 when something would change')
      .addHelpText(
        'after',
        '\nThe broker compares, as for apply --dry-run; nothing changes. Values of Secrets are not shown.',
      )
      .action(withSession(diff)),
};

interface DiffOptions {
  readonly filename: readonly string[];
  readonly stack: string;
  readonly recursive?: boolean;
  readonly allowEmpty?: boolean;
  readonly exitCode?: boolean;
}

async function diff(session: Session, options: DiffOptions): Promise<void> {
  const { broker, out } = session;
  const { allowEmpty, filename, recursive = false } = options;
  const submission = await readSubmission(filename, recursive);
  const wanted = { ...splitStackName(options.stack), submission, message: undefined, allowEmpty };
  const answer = await previewStack(session, wanted);
  const stack = stackRef(wanted);
  if (!answer)
    throw new Failure(`stack ${stack} does not exist: all of it would be new`, {
      hint: `make it with: brokkr apply --stack ${stack}`,
    });
  if (out.format !== 'table') printSubmission(out, answer);
  else {
    const manifest = answer.changes.length === 0 ? undefined : (await broker.getDeployment({ stack })).manifest;
    printDifferences(out, answer, parseManifest(manifest), objectsOf(submission.bytes));
  }
  if (options.exitCode && answer.changes.length > 0)
    throw new Failure(`${pluralize(answer.changes.length, 'object')} of stack ${stack} would change`);
}

function parseManifest(manifest: Uint8Array | undefined): ManifestObject[] {
  const lines = Buffer.from(manifest ?? [])
    .toString()
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as ManifestObject);
}

function printDifferences(
  out: Output,
  answer: SubmitDeploymentResponse,
  before: readonly ManifestObject[],
  after: readonly ManifestObject[],
): void {
  const [oldObjects, newObjects] = [before, after].map(
    (objects) => new Map(objects.map((object) => [keyOf(idOf(object)), object])),
  );
  for (const { object } of answer.changes) {
    const key = keyOf(object!);
    for (const line of unifiedDiff(oldObjects?.get(key), newObjects?.get(key), sanitize(objectText(object))).split(
      '\n',
    ))
      out.line(colourDiffLine(out, sanitizeLine(line)));
  }
  out.line(answer.changes.length === 0 ? 'nothing would change' : servingAgentsText(answer));
}

function colourDiffLine(out: Output, line: string): string {
  if (/^(---|\+\+\+) /.test(line)) return out.paint('strong', line);
  if (line.startsWith('+')) return out.paint('good', line);
  if (line.startsWith('-')) return out.paint('bad', line);
  return line.startsWith('@@') ? out.paint('dim', line) : line;
}
