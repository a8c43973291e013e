import { parentPort } from 'node:worker_threads';
import { parseManifest } from './parse.ts';
import type { ParseJob, ParseJobResult } from './parser.ts';
import { compareManifests } from './rules.ts';

async function run({ bytes, before, namespace }: ParseJob): Promise<ParseJobResult> {
  const parsed = parseManifest(bytes, namespace);
  return 'violations' in parsed ? parsed : { ...parsed, changes: await compareManifests(before, parsed.data) };
}

parentPort?.on('message', async (job: ParseJob) => parentPort?.postMessage(await run(job)));
