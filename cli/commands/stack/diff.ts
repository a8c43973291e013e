import { manifestKeyOf, objectText } from '../../../contract/object-key.ts';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { previewStack, refOf } from '../../deploy/apply.ts';
import { printSubmission, servedText } from '../../deploy/submission.ts';
import { count } from '../../format/enum-labels.ts';
import { type Content, idOf, objectsOf, patchOf } from '../../manifest/differences.ts';
import { readSubmission } from '../../manifest/manifest.ts';
import { collect } from '../../options/collect.ts';
import { splitName } from '../../options/stack-options.ts';
import { Failure } from '../../output/failure.ts';
import { type Output, printable, printableLine } from '../../output/output.ts';
import type { Session } from '../../session/session.ts';
import { type Verbs, withSession } from '../command.ts';

export const verbs: Verbs = {
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
  const wanted = { ...splitName(options.stack), submission, message: undefined, allowEmpty };
  const answer = await previewStack(session, wanted);
  const stack = refOf(wanted);
  if (!answer)
    throw new Failure(`stack ${stack} does not exist: all of it would be new`, {
      next: `make it with: brokkr apply --stack ${stack}`,
    });
  if (out.form !== 'table') printSubmission(out, answer);
  else {
    const manifest = answer.changes.length === 0 ? undefined : (await broker.getDeployment({ stack })).manifest;
    printDifferences(out, answer, linesOf(manifest), objectsOf(submission.bytes));
  }
  if (options.exitCode && answer.changes.length > 0)
    throw new Failure(`${count(answer.changes.length, 'object')} of stack ${stack} would change`);
}

function linesOf(manifest: Uint8Array | undefined): Content[] {
  const lines = Buffer.from(manifest ?? [])
    .toString()
    .split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Content);
}

function printDifferences(
  out: Output,
  answer: SubmitDeploymentResponse,
  before: readonly Content[],
  after: readonly Content[],
): void {
  const [old, next] = [before, after].map(
    (objects) => new Map(objects.map((object) => [manifestKeyOf(idOf(object)), object])),
  );
  for (const { object } of answer.changes) {
    const key = manifestKeyOf(object!);
    for (const line of patchOf(old?.get(key), next?.get(key), printable(objectText(object))).split('\n'))
      out.line(coloured(out, printableLine(line)));
  }
  out.line(answer.changes.length === 0 ? 'nothing would change' : servedText(answer));
}

function coloured(out: Output, line: string): string {
  if (/^(---|\+\+\+) /.test(line)) return out.paint('strong', line);
  if (line.startsWith('+')) return out.paint('good', line);
  if (line.startsWith('-')) return out.paint('bad', line);
  return line.startsWith('@@') ? out.paint('dim', line) : line;
}
