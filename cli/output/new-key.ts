import { writeFileSync } from 'node:fs';
import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { Failure } from './failure.ts';
import type { Output } from './output.ts';
import { jsonOf, printJson } from './view.ts';

/** A key that the broker has issued, and how to show it. */
export interface NewKey<D extends DescMessage> {
  readonly schema: D;
  readonly response: MessageShape<D> & { pak: string; replayed: boolean };
  /** Describes the action that issued the key: "agent edge-1 created". */
  readonly summary: string;
  /** File (mode 0600) that receives the key instead of standard output. */
  readonly pakFile?: string;
  /** Command that issues another key if this one did not arrive. */
  readonly retryCommand: string;
}

/**
 * Prints a new key. It is the only text on standard output, so that `PAK=$(brokkr create agent edge-1)` works. Throws a Failure when
 * the key did not arrive or its file cannot be written.
 */
export function printNewKey<D extends DescMessage>(output: Output, key: NewKey<D>): void {
  const { response, schema, summary, pakFile } = key;
  if (response.pak === '') {
    throw new Failure(`${summary}, but the connection broke before its key arrived`, {
      hint: `to get another key, run: ${key.retryCommand}`,
    });
  }
  if (pakFile !== undefined) {
    writeKeyFile(pakFile, response.pak, `${summary}, but ${pakFile} cannot be written`, key.retryCommand);
    response.pak = '';
  }
  if (output.format === 'json' || output.format === 'yaml') printJson(output, jsonOf(schema, response));
  else if (pakFile !== undefined) output.note(`${summary}. Its key is in ${pakFile}.`);
  else {
    output.note(`${summary}. Its key, shown only once:`);
    output.line(response.pak);
  }
}

function writeKeyFile(file: string, pak: string, failure: string, retryCommand: string): void {
  try {
    writeFileSync(file, `${pak}\n`, { mode: 0o600, flag: 'wx' });
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code === 'EEXIST' ? 'it already exists' : String(cause);
    throw new Failure(`${failure}: ${reason}`, { hint: `to get another key, run: ${retryCommand}` });
  }
}
