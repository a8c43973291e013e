import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Browser } from 'playwright-core';
import { programPath } from './program-path.ts';

const cache = resolve(import.meta.dirname, '../.cache');
const packageName = '@sparticuz/chromium';

/** No background requests, and no sandbox: tests often run as root in a container, and load only pages of ours. */
const chromiumFlags = [
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

/** Reports whether a browser is available: the system's, or the one from npm for Linux on x64. */
export function isChromiumInstalled(): boolean {
  return systemChromium() !== undefined || packageFolder() !== undefined;
}

/** Starts a headless browser with a temporary profile. Rejects when there is none. */
export async function openChromium(): Promise<Browser> {
  const { chromium } = await import('playwright-core');
  const system = systemChromium();
  const unpacked = system === undefined ? await unpackChromium() : undefined;
  return chromium.launch({
    executablePath: system ?? join(unpacked ?? '', 'chromium'),
    headless: true,
    args: chromiumFlags,
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

/**
 * Unpacks the compressed browser of the npm package into the cache, once for concurrent callers, and returns its path.
 */
async function unpackChromium(): Promise<string> {
  const folder = packageFolder();
  if (folder === undefined)
    throw new Error('there is no Chromium: install it, or run npm install with development dependencies');
  const { version } = createRequire(import.meta.url)(join(folder, 'package.json')) as { version: string };
  const unpacked = join(cache, `chromium-${version}`);
  if (existsSync(unpacked)) return unpacked;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(join(cache, 'chromium-'));
  try {
    // The package unpacks into the temporary folder of its environment, so it runs in a process with another one.
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

/** Points to the libraries and fonts of the package, for systems that lack them. */
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
