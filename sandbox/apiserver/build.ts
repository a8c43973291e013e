import { spawn } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import * as fs from 'node:fs';
import { utimes } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A command, and the arguments that precede those of the program. */
export type Program = readonly [command: string, ...first: string[]];

/**
 * Programs of a control plane. The envtest archives lack `controllerManager`; without it a deleted namespace never
 * finishes terminating.
 */
export interface KubePrograms {
  readonly etcd: Program;
  readonly apiServer: Program;
  readonly controllerManager?: Program;
}

const SOURCES = join(import.meta.dirname, '../kube');
const VERSION = { gitVersion: 'v1.36.3', gitMajor: '1', gitMinor: '36' } as const;
const LOCK_TOUCH_MS = 2_000;
const LOCK_STALE_MS = 30_000;

/**
 * Reports whether `buildKube` can find a Go tool chain, on PATH or in /usr/local/go/bin. It does not check the version.
 */
export function isGoInstalled(): boolean {
  return findGo() !== undefined;
}

/**
 * Builds the one binary that contains etcd, kube-apiserver and kube-controller-manager, unless this version of
 * `sandbox/kube/` has been built on this machine before, and returns its path. The first build takes minutes and the Go
 * module proxy. Concurrent callers, of other processes too, share one build. Rejects with the signal's reason when
 * aborted, and with the compiler's last lines when the build fails. `log` writes to standard error by default.
 */
export async function buildKube(signal?: AbortSignal, log = toStandardError): Promise<string> {
  const folder = join(cacheRoot(), `kube-${sourceHash()}`);
  const binary = join(folder, 'kube');
  if (fs.existsSync(binary)) return binary;
  const go = findGo();
  if (!go) throw new Error('no Go tool chain to build kube-apiserver with: install Go, or set KUBEBUILDER_ASSETS');
  fs.mkdirSync(folder, { recursive: true });
  const release = await acquireLock(join(folder, 'lock'), signal);
  try {
    if (fs.existsSync(binary)) return binary;
    log('building kube-apiserver, about 6 minutes the first time');
    const unfinished = join(folder, `kube.${randomUUID()}`);
    try {
      await compile(go, unfinished, signal);
      fs.renameSync(unfinished, binary);
    } finally {
      fs.rmSync(unfinished, { force: true });
    }
    return binary;
  } finally {
    release();
  }
}

/** Returns the programs in `KUBEBUILDER_ASSETS` when that is set, else those of `buildKube`. */
export async function kubePrograms(signal?: AbortSignal, log?: (line: string) => void): Promise<KubePrograms> {
  const assets = process.env.KUBEBUILDER_ASSETS;
  if (!assets) {
    const kube = await buildKube(signal, log);
    return {
      etcd: [kube, 'etcd'],
      apiServer: [kube, 'kube-apiserver'],
      controllerManager: [kube, 'kube-controller-manager'],
    };
  }
  const [etcd, apiServer, controllerManager] = ['etcd', 'kube-apiserver', 'kube-controller-manager'].map((name) =>
    executableFile(join(assets, name)),
  );
  if (!etcd || !apiServer) throw new Error(`KUBEBUILDER_ASSETS: no etcd and kube-apiserver to run in ${assets}`);
  return { etcd: [etcd], apiServer: [apiServer], ...(controllerManager && { controllerManager: [controllerManager] }) };
}

function findGo(): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/local/go/bin'];
  return folders.map((folder) => folder && executableFile(join(folder, 'go'))).find(Boolean) || undefined;
}

function executableFile(path: string): string | undefined {
  try {
    fs.accessSync(path, fs.constants.X_OK);
    return fs.statSync(path).isFile() ? path : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the folder of builds for tests, which all checkouts on this machine share. */
export function cacheRoot(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'brokkr');
}

function sourceHash(): string {
  const hash = createHash('sha256');
  for (const file of ['go.mod', 'go.sum', 'main.go']) hash.update(fs.readFileSync(join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
}

async function compile(go: string, output: string, signal?: AbortSignal): Promise<void> {
  const stamps = Object.entries(VERSION).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  const args = ['build', '-mod=readonly', '-trimpath', '-buildvcs=false', '-ldflags', `-s -w ${stamps.join(' ')}`];
  // Without cgo no C compiler is needed. On SIGINT, go also interrupts its compilers.
  const child = spawn(go, [...args, '-o', output, '.'], {
    cwd: SOURCES,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off' },
    stdio: ['ignore', 'ignore', 'pipe'],
    signal,
    killSignal: 'SIGINT',
  });
  let tail = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    tail = (tail + text).slice(-2_000);
  });
  const code = await new Promise((resolve, reject) => {
    child.once('close', resolve);
    child.once('error', (error) => reject(signal?.aborted ? signal.reason : error));
  });
  signal?.throwIfAborted();
  if (code !== 0) throw new Error(`kube-apiserver could not be built: ${tail.trim()}`);
}

/**
 * Waits for the lock and returns its release. The holder keeps touching the file, so the lock of a killed process is
 * recognised by its age, even if another process has its number by now.
 */
export async function acquireLock(lock: string, signal?: AbortSignal): Promise<() => void> {
  while (!tryCreate(lock)) {
    signal?.throwIfAborted();
    const touched = fs.statSync(lock, { throwIfNoEntry: false })?.mtimeMs;
    if (touched && Date.now() - touched > LOCK_STALE_MS) fs.rmSync(lock, { force: true });
    else await delay(200, undefined, { signal });
  }
  const touching = setInterval(() => utimes(lock, new Date(), new Date()).catch(() => {}), LOCK_TOUCH_MS).unref();
  return () => {
    clearInterval(touching);
    fs.rmSync(lock, { force: true });
  };
}

function tryCreate(lock: string): boolean {
  try {
    fs.writeFileSync(lock, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    return false;
  }
}

function toStandardError(line: string): void {
  process.stderr.write(`${line}\n`);
}
