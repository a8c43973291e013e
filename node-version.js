// Loaded first (`node --import`), and JavaScript, because an older Node cannot even read the TypeScript that would say so.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

const needed = 24;

if (Number(process.versions.node.split('.')[0]) < needed) {
  const brought = fileURLToPath(new URL('node_modules/.bin/node', import.meta.url));
  if (existsSync(brought) && realpathSync(brought) !== process.execPath) process.exit(await runWith(brought));
  const cure = 'npm install brings it on Linux; elsewhere install it from https://nodejs.org';
  process.stderr.write(`Brokkr needs Node ${needed} or later, and this is ${process.version}: ${cure}\n`);
  process.exit(1);
}

/** Runs the same command with another Node; answers its exit code, as a shell has it when a signal ended it. */
function runWith(node) {
  const child = spawn(node, [...process.execArgv, ...process.argv.slice(1)], { stdio: 'inherit' });
  // Ctrl-C is the terminal's word to both of them: passed on, the child would hear it twice.
  process.on('SIGINT', () => {});
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  return new Promise((settle, fail) => {
    child.once('error', fail);
    child.once('exit', (code, signal) => settle(code ?? 128 + constants.signals[signal]));
  });
}
