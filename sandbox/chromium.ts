import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { programPath } from './program-path.ts';

const cache = resolve(import.meta.dirname, '../.cache');
const packageName = '@sparticuz/chromium';

/** Nothing that calls home, and no sandbox: its users are tests, often root in a container, of pages that are ours. */
const flags = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const launchMs = 60_000;
const unpackMs = 120_000;

/** Whether there is a browser here: the system's, or the one that npm brings for Linux on x64. */
export function chromiumPresent(): boolean {
  return systemChromium() !== undefined || packageFolder() !== undefined;
}

/** Starts a browser, headless, with a profile of its own that is gone with it. Rejects when there is none. */
export async function openChromium(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  const system = systemChromium();
  const unpacked = system === undefined ? await unpackedChromium() : undefined;
  return chromium.launch({
    executablePath: system ?? join(unpacked ?? '', 'chromium'),
    headless: true,
    args: flags,
    timeout: launchMs,
    ...(unpacked !== undefined && { env: environmentOf(unpacked) }),
  });
}

function systemChromium(): string | undefined {
  return programPath(['chromium', 'chromium-browser', 'google-chrome']);
}

function packageFolder(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  try {
    return resolve(dirname(createRequire(import.meta.url).resolve(packageName)), '..');
  } catch {
    return undefined;
  }
}

/** The browser of the npm package, which is compressed in there: unpacked once, into the cache, however many ask at the same time. */
async function unpackedChromium(): Promise<string> {
  const folder = packageFolder();
  if (folder === undefined)
    throw new Error('there is no Chromium: install it, or run npm install with development dependencies');
  const { version } = createRequire(import.meta.url)(join(folder, 'package.json')) as { version: string };
  const unpacked = join(cache, `chromium-${version}`);
  if (existsSync(unpacked)) return unpacked;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, 'chromium-'));
  try {
    // It unpacks to the temporary folder, which is read from the environment: so in a process with another one.
    const script = `const { default: chromium, inflate } = await import(${JSON.stringify(packageName)});
      await Promise.all([chromium.executablePath(), inflate(${JSON.stringify(join(folder, 'bin/al2023.tar.br'))})]);`;
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: import.meta.dirname,
      env: { ...process.env, TMPDIR: fresh },
      timeout: unpackMs,
    });
    writeFileSync(join(fresh, 'fonts.conf'), `<fontconfig><dir>${join(unpacked, 'fonts')}</dir></fontconfig>`);
    renameSync(fresh, unpacked);
  } catch (error) {
    if (!existsSync(unpacked)) throw error;
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return unpacked;
}

/** It brings the libraries that a bare system lacks, and a font for one that has none. */
function environmentOf(unpacked: string): Record<string, string> {
  const own = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value] as const],
  );
  return {
    ...Object.fromEntries(own),
    LD_LIBRARY_PATH: join(unpacked, 'al2023/lib'),
    ...(!existsSync('/etc/fonts/fonts.conf') && { FONTCONFIG_FILE: join(unpacked, 'fonts.conf') }),
  };
}
