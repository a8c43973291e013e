import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildConsole, packagesOfConsole } from '../console/build.ts';
import manifest from '../package.json' with { type: 'json' };
import { writeDescriptorSet } from '../proto/descriptor-set.ts';
import { bundleProgram, consoleFolder, type Program } from './bundle.ts';

const programs: readonly Program[] = [
  { source: 'cli/main.ts', name: 'brokkr' },
  { source: 'broker/main.ts', name: 'brokkr-broker' },
  // Only kubeconfigs with exec plugins need the Kubernetes client: 3 MB that no pod loads.
  { source: 'agent/main.ts', name: 'brokkr-agent', split: true },
];

const root = resolve(import.meta.dirname, '..');

/**
 * Replaces the folder by a release that needs only Node: the bundled programs, the prebuilt binaries of argon2 for all platforms, the
 * console, the contract with its descriptor set, and the licenses of all bundled packages.
 */
export async function makeRelease(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const packages = new Set<string>();
  for (const program of programs) {
    for (const packageFolder of await bundleProgram(program, folder)) packages.add(packageFolder);
    chmodSync(join(folder, `${program.name}.js`), 0o755);
  }
  cpSync(join(root, 'node_modules/argon2/prebuilds'), join(folder, 'prebuilds'), { recursive: true });
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  copyContract(folder);
  await buildConsole();
  cpSync(join(root, consoleFolder.built), join(folder, consoleFolder.released), { recursive: true });
  for (const packageFolder of packagesOfConsole()) packages.add(packageFolder);
  writeFileSync(join(folder, 'THIRD-PARTY.txt'), [...packages].sort().map(licenseOf).join('\n'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packageOf(manifest), null, 2)}\n`);
}

/** Copies the contract and everything that it imports, and compiles it to `brokkr.binpb`. */
function copyContract(folder: string): void {
  const source = join(root, 'proto');
  cpSync(source, join(folder, 'proto'), { recursive: true, filter: (file) => !file.endsWith('.ts') });
  writeDescriptorSet(join(folder, 'brokkr.binpb'));
}

function packageOf({ name, version, description, license, type }: typeof manifest): object {
  const bin = Object.fromEntries(programs.map((program) => [program.name, `${program.name}.js`]));
  return { name, version, description, license, type, bin, engines: { node: '>=24' } };
}

/** Formats the name, version and license text of a package. */
function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as typeof manifest;
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|-|$)/i.test(entry));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n\n${text}\n`;
}
