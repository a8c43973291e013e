import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { buildConsole, packagesOfConsole } from '../console/build.ts';
import manifest from '../package.json' with { type: 'json' };
import { bundleProgram, consoleFolder, type Program } from './bundle.ts';

const programs: readonly Program[] = [
  { source: 'cli/main.ts', name: 'brokkr' },
  { source: 'broker/main.ts', name: 'brokkr-broker' },
  // The Kubernetes client is for kubeconfigs that run programs: 3 MB that no pod needs.
  { source: 'agent/main.ts', name: 'brokkr-agent', split: true },
];

const root = resolve(import.meta.dirname, '..');

/**
 * Makes a folder that starts with nothing but Node, anew: the programs, each bundled with what it imports, what argon2 has compiled
 * for each platform, the console, and the licenses of all that is in it.
 */
export async function makeRelease(folder: string): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const packages = new Set<string>();
  for (const program of programs) {
    for (const one of await bundleProgram(program, folder)) packages.add(one);
    chmodSync(join(folder, `${program.name}.js`), 0o755);
  }
  cpSync(join(root, 'node_modules/argon2/prebuilds'), join(folder, 'prebuilds'), { recursive: true });
  cpSync(join(root, 'LICENSE'), join(folder, 'LICENSE'));
  await buildConsole();
  cpSync(join(root, consoleFolder.built), join(folder, consoleFolder.released), { recursive: true });
  for (const one of packagesOfConsole()) packages.add(one);
  writeFileSync(join(folder, 'THIRD-PARTY.txt'), [...packages].sort().map(licenseOf).join('\n'));
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packageOf(manifest), null, 2)}\n`);
}

function packageOf({ name, version, description, license, type }: typeof manifest): object {
  const bin = Object.fromEntries(programs.map((program) => [program.name, `${program.name}.js`]));
  return { name, version, description, license, type, bin, engines: { node: '>=24' } };
}

/** Name, version and the license's text of a package. */
function licenseOf(folder: string): string {
  const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as typeof manifest;
  const file = readdirSync(folder).find((entry) => /^licen[cs]e(\.|-|$)/i.test(entry));
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
  return `${'='.repeat(80)}\n${name} ${version} (${license})\n\n${text}\n`;
}
