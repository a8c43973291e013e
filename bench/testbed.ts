import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { type BrokkrClient, connectBroker } from '../client/client.ts';
import { type Postgres, startPostgres } from '../sandbox/postgres/postgres.ts';

/** A broker in a process of its own, so that its CPU and memory can be told from those of the load. */
export interface Testbed {
  readonly url: string;
  readonly adminPak: string;
  readonly admin: BrokkrClient;
  readonly postgres: Postgres;
  /** From starting the process until it said that it is ready. */
  readonly brokerStartMs: number;
  /** CPU that the broker's process has used so far, in seconds. */
  brokerCpuSeconds(): number;
  brokerRssMb(): number;
  close(): Promise<void>;
}

const root = resolve(import.meta.dirname, '..');
const startMs = 30_000;

/** Starts a database (with fsync, as in production) and a broker on free ports. */
export async function startTestbed(): Promise<Testbed> {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-bench-'));
  const postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  const pakFile = join(folder, 'admin-pak');
  const startedAt = performance.now();
  const broker = spawn(process.execPath, [join(root, 'broker/main.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      BROKKR_DATABASE_URL: postgres.url,
      BROKKR_LISTEN: '127.0.0.1:0',
      BROKKR_METRICS_LISTEN: '127.0.0.1:0',
      BROKKR_ADMIN_PAK_FILE: pakFile,
    },
  });
  const url = await readyUrl(broker);
  const brokerStartMs = performance.now() - startedAt;
  const adminPak = readFileSync(pakFile, 'utf8').trim();
  const admin = connectBroker({ url, pak: adminPak });
  const pid = broker.pid as number;
  return {
    url,
    adminPak,
    admin,
    postgres,
    brokerStartMs,
    brokerCpuSeconds: () => cpuSeconds(pid),
    brokerRssMb: () => rssMb(pid),
    async close() {
      admin.close();
      if (broker.exitCode === null) {
        broker.kill('SIGTERM');
        await once(broker, 'exit');
      }
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** User and system time of a process (proc(5), fields 14 and 15 of stat). */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export function rssMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

async function readyUrl(broker: ChildProcess): Promise<string> {
  const lines = createInterface({ input: broker.stdout as NodeJS.ReadableStream });
  const late = setTimeout(() => broker.kill('SIGKILL'), startMs);
  try {
    for await (const line of lines) {
      const url = /"url":"([^"]+)".*the broker is ready/.exec(line)?.[1];
      if (url) return url;
    }
  } finally {
    clearTimeout(late);
    // The rest of the log is read and dropped, or the pipe would fill up.
    broker.stdout?.resume();
  }
  throw new Error('the broker ended before it was ready');
}
