import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Failure, usageError } from './failure.ts';

/** Asks before something that cannot be undone. Where nobody can be asked, `--yes` has to be there. */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw usageError(`not without a yes: ${question}`, 'nobody can be asked here: say --yes');
  const answer = await promptFor(`${question} [y/N] `, { echo: true });
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('nothing was done');
}

/** Reads a key: from standard input when that is not a terminal or is asked for, else typed in without an echo. */
export async function readPak(question: string, fromStdin: boolean): Promise<string> {
  const pak = (
    fromStdin || !process.stdin.isTTY ? await text(process.stdin) : await promptFor(question, { echo: false })
  ).trim();
  if (pak === '') throw usageError('no key was given', 'paste it, or: brokkr login --pak-stdin < FILE');
  // It becomes a header: what is no single word cannot be one, and must not be repeated in an error.
  if (!/^[\w-]+$/.test(pak)) throw new Failure('that is not a key', { hint: 'a key looks like brokkr_ad…_…' });
  return pak;
}

/** The terminal's own echo is off before the question is asked, so that nothing of a quick paste is seen. */
async function promptFor(question: string, { echo }: { echo: boolean }): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: echo ? process.stderr : nowhere, terminal: true });
  const ended = Promise.withResolvers<never>();
  for (const event of ['SIGINT', 'close'] as const)
    lines.once(event, () => ended.reject(new Failure('nothing was done')));
  if (!echo) process.stderr.write(question);
  try {
    return await Promise.race([lines.question(echo ? question : ''), ended.promise]);
  } finally {
    lines.close();
    if (!echo) process.stderr.write('\n');
  }
}
