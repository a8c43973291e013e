import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { Failure, usageError } from './failure.ts';

/** Asks for confirmation of an action that cannot be undone. Without a terminal, `--yes` is required. Throws a Failure unless confirmed. */
export async function confirm(question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY)
    throw usageError(`this needs a confirmation: ${question}`, 'there is no terminal to ask on: add --yes');
  const answer = await promptFor(`${question} [y/N] `, { echo: true });
  if (!/^y(es)?$/i.test(answer.trim())) throw new Failure('nothing was changed');
}

/** Reads a key from standard input, or prompts for it without echo if standard input is a terminal. Throws a Failure for anything else. */
export async function readPak(question: string, fromStdin: boolean): Promise<string> {
  const pak = (
    fromStdin || !process.stdin.isTTY ? await text(process.stdin) : await promptFor(question, { echo: false })
  ).trim();
  if (pak === '') throw usageError('no key was given', 'paste it, or: brokkr login --pak-stdin < FILE');
  // The key becomes a header value, which must be a single word. The error must not repeat the input, which may hold a secret.
  if (!/^[\w-]+$/.test(pak)) throw new Failure('the input is not a key', { hint: 'a key looks like brokkr_ad…_…' });
  return pak;
}

/** Prompts on the terminal. Its echo is off before the question appears, so that a quick paste does not show. */
async function promptFor(question: string, { echo }: { echo: boolean }): Promise<string> {
  const silentOutput = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: echo ? process.stderr : silentOutput, terminal: true });
  const cancelled = Promise.withResolvers<never>();
  for (const event of ['SIGINT', 'close'] as const)
    lines.once(event, () => cancelled.reject(new Failure('nothing was changed')));
  if (!echo) process.stderr.write(question);
  try {
    return await Promise.race([lines.question(echo ? question : ''), cancelled.promise]);
  } finally {
    lines.close();
    if (!echo) process.stderr.write('\n');
  }
}
