import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { usageError } from '../output/failure.ts';

/** Kubernetes objects from one or more files, as they are submitted. */
export interface Submission {
  readonly bytes: Uint8Array;
  /** The broker's "document 3, line 17: …" with the file that it is in, and the line as an editor counts it. */
  locate(description: string): string;
}

interface SourceFile {
  readonly name: string;
  readonly bytes: Buffer;
}

/** Ends a document whatever it was, also before a file that begins with directives. */
const documentEnd = Buffer.from('\n...\n');
const fileExtensions = ['.yaml', '.yml', '.json'];
/** What the broker takes of a submission. */
const maxSizeMiB = 8;
const byteOrderMark = '\ufeff';

/** Reads what `-f` names: files, folders (their .yaml, .yml and .json files, in order of their names), `-` for standard input. */
export async function readSubmission(paths: readonly string[], recursive: boolean): Promise<Submission> {
  if (paths.filter((name) => name === '-').length > 1) throw usageError('standard input can be read once only');
  const parts: SourceFile[] = [];
  for (const name of paths) {
    if (name === '-') parts.push({ name: 'stdin', bytes: await buffer(process.stdin) });
    else parts.push(...filesOf(name, recursive).map((file) => ({ name: file, bytes: readFileSync(file) })));
  }
  const submission = joinParts(parts);
  if (submission.bytes.length > maxSizeMiB << 20)
    throw usageError(`the objects have more than ${maxSizeMiB} MiB together`, 'spread them over several stacks');
  return submission;
}

function filesOf(name: string, recursive: boolean): string[] {
  const info = statSync(name, { throwIfNoEntry: false });
  if (!info) throw usageError(`there is no file or folder ${name}`);
  if (!info.isDirectory()) return [name];
  const files = readdirSync(name, { recursive, withFileTypes: true })
    .filter((entry) => !entry.isDirectory() && fileExtensions.includes(path.extname(entry.name)))
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort();
  if (files.length === 0) throw usageError(`there are no ${fileExtensions.join(', ')} files in ${name}`);
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
      const [, , lineText, what] = /^document (\d+), line (\d+): (.*)$/s.exec(description) ?? [];
      const start = starts.findLast((candidate) => candidate.line <= Number(lineText));
      if (what === undefined || !start) return description;
      const inFile = Number(lineText) - start.line + 1;
      return `${start.part.name}:${inFile} (document ${documentAt(start.part.bytes, inFile)}): ${what}`;
    },
  };
}

/** Which document of a file a line is in; both count from 1. */
function documentAt(bytes: Buffer, line: number): number {
  let document = 1;
  let begun = false;
  for (const text of bytes.toString().split('\n').slice(0, line)) {
    if (/^---(\s|$)/.test(text)) {
      if (begun) document += 1;
      begun = true;
    } else if (!/^(\s*(#.*)?|%.*|\.\.\.\s*)$/.test(text)) begun = true;
  }
  return document;
}

function lineBreaks(bytes: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, at + 1)) count += 1;
  return count;
}
