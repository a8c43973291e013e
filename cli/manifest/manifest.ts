import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { usageError } from '../output/failure.ts';

/** A submission that was read from one or more files. */
export interface Submission {
  readonly bytes: Uint8Array;
  /** Translates the broker's "document 3, line 17: …" to the file and the line within it. */
  locate(description: string): string;
}

interface SourceFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Ends any document, also before a file that starts with directives. */
const documentEnd = Buffer.from('\n...\n');
const fileExtensions = ['.yaml', '.yml', '.json'];
/** Maximum size of the text of a submission; the broker enforces the same limit. */
const maxSizeMiB = 32;
const byteOrderMark = '\ufeff';

/**
 * Reads the values of `-f`: files, folders (their .yaml, .yml and .json files, sorted by name), or `-` for standard input. Throws a
 * Failure when one does not exist or the submission is too large.
 */
export async function readSubmission(paths: readonly string[], recursive: boolean): Promise<Submission> {
  if (paths.filter((name) => name === '-').length > 1) throw usageError('standard input can be read only once');
  const parts: SourceFile[] = [];
  for (const name of paths) {
    if (name === '-') parts.push({ name: 'stdin', bytes: await buffer(process.stdin) });
    else parts.push(...filesOf(name, recursive).map((file) => ({ name: file, bytes: readFileSync(file) })));
  }
  const submission = joinParts(parts);
  if (submission.bytes.length > maxSizeMiB << 20)
    throw usageError(`the objects exceed ${maxSizeMiB} MiB`, 'split them into several stacks');
  return submission;
}

function filesOf(name: string, recursive: boolean): string[] {
  const info = statSync(name, { throwIfNoEntry: false });
  if (!info) throw usageError(`file or folder ${name} does not exist`);
  if (!info.isDirectory()) return [name];
  const files = readdirSync(name, { recursive, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && fileExtensions.includes(path.extname(entry.name)))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  if (files.length === 0) {
    const hasBelow = !recursive && readdirSync(name, { withFileTypes: true }).some((entry) => entry.isDirectory());
    const hint = hasBelow ? 'to include the files of its subfolders, add -R' : undefined;
    throw usageError(`there are no ${fileExtensions.join(', ')} files in ${name}`, hint);
  }
  return files;
}

function joinParts(parts: readonly SourceFile[]): Submission {
  const chunks: Buffer[] = [];
  const starts: { readonly part: SourceFile; readonly line: number }[] = [];
  let line = 1;
  for (const part of parts) {
    const text = part.bytes.subarray(part.bytes.indexOf(byteOrderMark) === 0 ? Buffer.byteLength(byteOrderMark) : 0);
    if (chunks.length > 0) {
      chunks.push(documentEnd);
      line += lineBreaks(documentEnd);
    }
    starts.push({ part, line });
    chunks.push(text);
    line += lineBreaks(text);
  }
  const bytes = Buffer.concat(chunks);
  return {
    bytes,
    locate: (description) => {
      const [, , lineText, problem] = /^document (\d+), line (\d+): (.*)$/s.exec(description) ?? [];
      const start = starts.findLast((candidate) => candidate.line <= Number(lineText));
      if (problem === undefined || !start) return description;
      const fileLine = Number(lineText) - start.line + 1;
      return `${start.part.name}:${fileLine} (document ${documentAt(start.part.bytes, fileLine)}): ${problem}`;
    },
  };
}

/** Returns the number of the document that contains a line; both count from 1. */
function documentAt(bytes: Buffer, line: number): number {
  let document = 1;
  let hasContent = false;
  for (const text of bytes.toString().split('\n').slice(0, line)) {
    if (/^---(\s|$)/.test(text)) {
      if (hasContent) document += 1;
      hasContent = true;
    } else if (!/^(\s*(#.*)?|%.*|\.\.\.\s*)$/.test(text)) hasContent = true;
  }
  return document;
}

function lineBreaks(bytes: Buffer): number {
  let count = 0;
  for (let index = bytes.indexOf(10); index >= 0; index = bytes.indexOf(10, index + 1)) count += 1;
  return count;
}
