#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

// npm runs its scripts in the package's folder; the files that are named are those of where npm was called.
const { npm_lifecycle_event: script, INIT_CWD: calledFrom } = process.env;
if (script === 'cli' && calledFrom) process.chdir(calledFrom);

// Compiling the generated contract is most of a command's start: half of it is saved by keeping the result, in a folder of the
// user's own, because whoever can write there can run code.
enableCompileCache(path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'brokkr'));

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv.slice(2));
