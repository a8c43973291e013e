/**
 * Makes gen/ from proto/ (`npm run gen`). Third-party contracts come from npm packages, never from the network:
 * google/rpc, grpc/health and grpc/reflection as the .proto files of their packages, and buf/validate/validate.proto,
 * which @bufbuild/protovalidate ships only as descriptors, printed from those.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { printProto } from './print.ts';

const root = path.resolve(import.meta.dirname, '..');
const vendored = path.join(root, '.cache/vendored');
const require = createRequire(import.meta.url);

const copies = [
  ['google-proto-files', 'google/rpc/error_details.proto', 'google/rpc/error_details.proto'],
  ['grpc-health-check', 'proto/health/v1/health.proto', 'grpc/health/v1/health.proto'],
  ['@grpc/reflection', 'build/proto/grpc/reflection/v1/reflection.proto', 'grpc/reflection/v1/reflection.proto'],
  [
    '@grpc/reflection',
    'build/proto/grpc/reflection/v1alpha/reflection.proto',
    'grpc/reflection/v1alpha/reflection.proto',
  ],
] as const;

/** Writes the contracts that ours import, or that the server serves, to a folder that git ignores. */
export function writeVendored(): void {
  rmSync(vendored, { recursive: true, force: true });
  for (const [pkg, from, to] of copies) {
    const target = path.join(vendored, to);
    mkdirSync(path.dirname(target), { recursive: true });
    cpSync(path.join(path.dirname(require.resolve(`${pkg}/package.json`)), from), target);
  }
  const validate = path.join(vendored, 'buf/validate/validate.proto');
  mkdirSync(path.dirname(validate), { recursive: true });
  writeFileSync(validate, printProto(file_buf_validate_validate));
}

/** Runs buf as this project pins it. Throws when it exits with an error; its output goes to the terminal. */
export function buf(...args: string[]): void {
  const bin = path.join(root, 'node_modules/.bin');
  execFileSync(path.join(bin, 'buf'), args, {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` },
  });
}

/** Generates everything into `out`, which is emptied first. */
export function generate(out: string): void {
  writeVendored();
  rmSync(path.join(root, out), { recursive: true, force: true });
  buf('generate', '--output', path.dirname(path.join(root, out)));
}

if (import.meta.main) generate('gen');
