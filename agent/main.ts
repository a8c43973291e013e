#!/usr/bin/env node
import './v8-flags.ts';
import pino from 'pino';
import { openTracing } from '../client/open-tracing.ts';
import { watchConfigFile } from '../client/reload.ts';
import { ConfigError } from '../client/settings.ts';
import { traceVariables } from '../client/trace.ts';
import { startAgent, version } from './agent.ts';
import { readConfig, variables } from './config.ts';

const exitCodes = { failed: 1, usage: 2, fenced: 3, deposed: 4 } as const;

const help = `The Brokkr agent: keeps one Kubernetes cluster in the state that its broker describes.

Usage: brokkr-agent [--help]

Environment variables configure it:
${Object.entries({ ...variables, ...traceVariables })
  .map(([name, purpose]) => `  ${name.padEnd(29)}${purpose}`)
  .join('\n')}

Exit codes: 1 when it cannot start, 2 when a variable is wrong, 3 when another agent has started with its key, and 4
when it led several agents and could not renew its lease.
`;

if (process.argv.includes('--help') || process.argv.includes('-h')) process.stdout.write(help);
else if (process.argv.length > 2) fail(`unknown argument ${process.argv[2]}; try --help`, exitCodes.usage);
else await main();

async function main(): Promise<void> {
  const stopping = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) {
    process.on(name, () => {
      // A second signal does not wait for the agent to end.
      if (stopping.signal.aborted) process.exit(exitCodes.failed);
      stopping.abort();
    });
  }
  try {
    const config = readConfig(process.env);
    const log = pino({ level: config.logLevel });
    const tracing = await openTracing(process.env, {
      service: 'brokkr-agent',
      version,
      onFailure: (reason) => log.warn({ reason }, 'traces cannot be sent'),
    });
    const agent = await startAgent(config, { log, signal: stopping.signal, processMetrics: true, tracing });
    const unfollow = watchConfigFile(process.env.BROKKR_CONFIG_FILE, () => agent.reload(() => readConfig(process.env)));
    log.info({ health: agent.healthUrl, broker: config.brokerUrl }, 'agent is up');
    const how = await agent.ended;
    unfollow();
    await tracing?.close();
    if (how !== 'closed') process.exitCode = exitCodes[how];
    else if (!stopping.signal.aborted) process.exitCode = exitCodes.failed;
  } catch (error) {
    if (stopping.signal.aborted) return;
    const isUsage = error instanceof ConfigError;
    fail(error instanceof Error ? error.message : String(error), isUsage ? exitCodes.usage : exitCodes.failed);
  }
}

function fail(message: string, code: number): void {
  for (const line of message.split('\n')) process.stderr.write(`brokkr-agent: ${line}\n`);
  process.exitCode = code;
}
