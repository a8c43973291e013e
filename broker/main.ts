#!/usr/bin/env node
import './base64.ts';

import { writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { openTracing } from '../client/open-tracing.ts';
import { watchConfigFile } from '../client/reload.ts';
import { ConfigError } from '../client/settings.ts';
import { traceVariables } from '../client/trace.ts';
import { issueFirstAdminPak, rotateAdminPak } from './access/issue.ts';
import { recordOperator } from './audit/operator.ts';
import { type Config, readConfig, variables, version } from './config.ts';
import { reencrypt } from './deployment/reencrypt.ts';
import { createLog } from './log.ts';
import { openMigrated } from './open-store.ts';
import { Refusal } from './refusal.ts';
import { startBroker } from './server.ts';
import type { Database } from './store/database.ts';
import { beginEpoch } from './store/installation.ts';

const commands = {
  serve: 'run the broker (migrates the database first)',
  init: 'migrate the database and create the first admin key',
  migrate: 'migrate the database, nothing else',
  'rotate-admin': 'create a new key for an admin; the old one ends after the overlap (--name, --overlap-hours)',
  're-encrypt': 'encrypt every manifest with the first key of BROKKR_ENCRYPTION_KEY',
  restored:
    'after a backup was restored: hold removals until they are confirmed, and let agents that are ahead keep what they have',
} as const;
type Command = keyof typeof commands;

const usageCode = 2;
const maxOverlapHours = 720;
const hourMs = 3_600_000;

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    const isUsageError = String((error as { code?: unknown } | null)?.code).startsWith('ERR_PARSE_ARGS_');
    process.exit(fail(`brokkr-broker: ${describeError(error)}`, isUsageError ? usageCode : 1));
  },
);

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean' },
      name: { type: 'string', default: 'admin' },
      'overlap-hours': { type: 'string', default: '0' },
    },
  });
  const command = positionals[0] ?? 'serve';
  if (values.help) return print(helpText());
  if (!(command in commands) || positionals.length > 1) {
    return fail(`brokkr-broker: unknown command "${positionals.join(' ')}"; see brokkr-broker --help`, usageCode);
  }
  if (values.version) return print(version);
  const config = readConfig(process.env);
  return run(command as Command, config, { name: values.name, overlapHours: values['overlap-hours'] });
}

async function run(command: Command, config: Config, options: { name: string; overlapHours: string }): Promise<number> {
  switch (command) {
    case 'serve':
      return serve(config);
    case 'init':
      await withDatabase(config, (db) => issueFirstAdminPak(db, deliveryOf(config)));
      return print('the database is ready');
    case 'migrate':
      await withDatabase(config, async () => {});
      return print('the database is up to date');
    case 'rotate-admin': {
      const hours = Number(options.overlapHours);
      if (!(hours >= 0 && hours <= maxOverlapHours))
        return fail(`--overlap-hours: must be a number from 0 to ${maxOverlapHours}`, usageCode);
      const rotation = { overlapMs: hours * hourMs, deliver: deliveryOf(config) };
      await withDatabase(config, (db) => rotateAdminPak(db, options.name, rotation));
      return 0;
    }
    case 're-encrypt': {
      const count = await withDatabase(config, async (db) => {
        // Recorded first, because the many transactions that follow may be interrupted.
        await recordOperator(db, 're-encrypt');
        return reencrypt(db);
      });
      return print(`${count} manifests were encrypted again`);
    }
    case 'restored': {
      const epoch = await withDatabase(config, beginEpochAfterRestore);
      return print(`epoch ${epoch} has begun: removals are held until they are confirmed`);
    }
  }
}

async function serve(config: Config): Promise<number> {
  const log = createLog(config.logLevel);
  const stop = new AbortController();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort(signal));
  const tracing = await openTracing(process.env, {
    service: 'brokkr-broker',
    version,
    onFailure: (reason) => log.warn({ reason }, 'traces cannot be sent'),
  });
  const broker = await startBroker(config, { log, deliverAdminPak: deliveryOf(config), tracing });
  const unwatch = watchConfigFile(process.env.BROKKR_CONFIG_FILE, () => broker.reload(() => readConfig(process.env)));
  if (!stop.signal.aborted)
    await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
  log.info({ signal: stop.signal.reason }, 'the broker is ending');
  unwatch();
  await broker.close();
  await tracing?.close();
  return 0;
}

function beginEpochAfterRestore(db: Database): Promise<bigint> {
  return db.transact(async (tx) => {
    await recordOperator(tx, 'restored');
    return beginEpoch(tx, 'brokkr-broker restored', { epoch: 0n, order: 0n });
  });
}

/** Opens and migrates the database, works with it, and closes it. */
async function withDatabase<T>(config: Config, work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openMigrated(config);
  try {
    return await work(db);
  } finally {
    await db.close();
  }
}

/** Returns what delivers an admin key: to a file that only this user can read, or to a terminal, but never to a log. */
function deliveryOf(config: Config): (pak: string) => Promise<void> {
  const { adminPakFile } = config;
  if (adminPakFile !== undefined) {
    return async (pak) => {
      await writeFile(adminPakFile, `${pak}\n`, { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
        const reason = error.code === 'EEXIST' ? 'it exists: move it away first' : error.message;
        throw new ConfigError(`BROKKR_ADMIN_PAK_FILE: the key cannot be written to ${adminPakFile}: ${reason}`);
      });
    };
  }
  return async (pak) => {
    if (!process.stdout.isTTY) {
      throw new ConfigError(
        'BROKKR_ADMIN_PAK_FILE: set it: there is a new admin key to deliver, and no terminal to show it on',
      );
    }
    process.stdout.write(`The admin key, shown only this once:\n\n  ${pak}\n\n`);
  };
}

function helpText(): string {
  const width = Math.max(...Object.keys({ ...variables, ...traceVariables }).map((name) => name.length));
  const row = ([name, text]: [string, string]) => `  ${name.padEnd(width)}  ${text}`;
  return [
    'Usage: brokkr-broker [command] [--name NAME] [--overlap-hours N]',
    '',
    'Commands (default serve):',
    ...Object.entries(commands).map(row),
    '',
    'Environment:',
    ...Object.entries(variables).map(row),
    '',
    'Traces (OpenTelemetry):',
    ...Object.entries(traceVariables).map(row),
  ].join('\n');
}

function print(text: string): number {
  process.stdout.write(`${text}\n`);
  return 0;
}

function fail(message: string, code: number): number {
  process.stderr.write(`${message}\n`);
  return code;
}

/** Returns one line for an error that an operator can fix, and a stack trace for a defect. */
function describeError(error: unknown): string {
  if (error instanceof ConfigError || error instanceof Refusal) return error.message;
  const { code, message, stack } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return `the address is in use: ${message}`;
  if (typeof code === 'string') return message;
  return stack ?? String(error);
}
