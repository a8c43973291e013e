import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Failure, usage } from './failure.ts';

/** Asks before something that cannot be undone. Where nobody can be asked, `--yes` has to be there. */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) throw usage(question, 'nobody can be asked here: say --yes');
  const answer = await ask(`${question} [y/N] `, process.stderr);
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('nothing was done');
}

/** Reads a key: from standard input when that is not a terminal or is asked for, else typed in without an echo. */
export async function readPak(question: string, fromStdin: boolean): Promise<string> {
  const pak = (fromStdin || !process.stdin.isTTY ? await text(process.stdin) : await askUnseen(question)).trim();
  if (pak === '') throw usage('no key was given', 'paste it, or: brokkr login --pak-stdin < FILE');
  // It becomes a header: what is no single word cannot be one, and must not be repeated in an error.
  if (!/^[\w-]+$/.test(pak)) throw new Failure('that is not a key', { next: 'a key looks like brokkr_ad…_…' });
  return pak;
}

async function askUnseen(question: string): Promise<string> {
  process.stderr.write(question);
  try {
    return await ask('', new Writable({ write: (_chunk, _encoding, done) => done() }));
  } finally {
    process.stderr.write('\n');
  }
}

/** Readline turns the terminal's own echo off and gives it back; what it would echo itself goes to `output`. */
async function ask(question: string, output: NodeJS.WritableStream): Promise<string> {
  const lines = createInterface({ input: process.stdin, output, terminal: true });
  const ended = Promise.withResolvers<never>();
  lines.once('SIGINT', () => ended.reject(new Failure('nothing was done')));
  lines.once('close', () => ended.reject(new Failure('nothing was done')));
  try {
    return await Promise.race([lines.question(question), ended.promise]);
  } finally {
    lines.close();
  }
}
