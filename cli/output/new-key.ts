import { writeFileSync } from 'node:fs';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { Failure } from './failure.ts';
import { jsonOf, type Output, printJson } from './output.ts';

export interface NewKey<D extends DescMessage> {
  readonly schema: D;
  readonly answer: MessageShape<D> & { pak: string; replayed: boolean };
  /** What was done, for people: "agent edge-1 created". */
  readonly summary: string;
  /** Goes into this file (0600) instead of the answer. */
  readonly pakFile?: string;
  /** How to get another key, when this one was lost on its way. */
  readonly retryCommand: string;
}

/** Gives out a new key, once: alone on standard output, so that `PAK=$(brokkr create agent edge-1)` holds it and nothing else. */
export function printNewKey<D extends DescMessage>(out: Output, key: NewKey<D>): void {
  const { answer, schema, summary, pakFile } = key;
  if (answer.pak === '') {
    throw new Failure(`${summary}, but its key was lost with the connection`, {
      hint: `for another key run: ${key.retryCommand}`,
    });
  }
  if (pakFile !== undefined) {
    writeKeyFile(pakFile, answer.pak, `${summary}, but ${pakFile} cannot be written`, key.retryCommand);
    answer.pak = '';
  }
  if (out.format === 'json' || out.format === 'yaml') printJson(out, jsonOf(schema, answer));
  else if (pakFile !== undefined) out.note(`${summary}. Its key is in ${pakFile}.`);
  else {
    out.note(`${summary}. Its key, which is shown this once:`);
    out.line(answer.pak);
  }
}

function writeKeyFile(file: string, pak: string, failed: string, again: string): void {
  try {
    writeFileSync(file, `${pak}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'EEXIST' ? 'it is there already' : String(cause);
    throw new Failure(`${failed}: ${reason}`, { hint: `for another key run: ${again}` });
  }
}
