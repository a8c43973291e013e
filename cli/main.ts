#!/usr/bin/env node
import { enableCompileCache } from 'node:module';
import { homedir } from 'node:os';
import path from 'node:path';

// npm changes to the package's folder before it runs a script; file arguments are relative to where npm was called.
const { npm_lifecycle_event: npmScript, INIT_CWD: callerFolder } = process.env;
if (npmScript === 'cli' && callerFolder) process.chdir(callerFolder);

// Compiling the generated contract is most of a command's start-up time, and caching the result halves it. The cache is in the
// user's own folder, because whoever can write to it can run code.
enableCompileCache(path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'brokkr'));

const { run } = await import('./program.ts');
process.exitCode = await run(process.argv.slice(2));
