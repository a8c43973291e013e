/** `npm run release`: makes dist/, which is what the Dockerfile copies. */
import { resolve } from 'node:path';
import { makeRelease } from './release.ts';

const folder = resolve(import.meta.dirname, '../dist');
await makeRelease(folder);
process.stdout.write(`made ${folder}\n`);
