/** `npm run release`: builds dist/, which the Dockerfile copies. */
import { resolve } from 'node:path';
import { makeRelease } from './release.ts';

const folder = resolve(import.meta.dirname, '../dist');
await makeRelease(folder);
process.stdout.write(`built ${folder}\n`);
