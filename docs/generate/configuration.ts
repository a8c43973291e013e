import { variables as agentVariables } from '../../agent/config.ts';
import { variables as brokerVariables } from '../../broker/config.ts';
import { traceVariables } from '../../client/trace.ts';
import { generatedFrom, page, table } from './markdown.ts';

/** Returns the page about the environment variables of all programs. */
export function configurationPage(): string {
  return page(
    '# Configuration',
    generatedFrom('`broker/config.ts` and `agent/config.ts`'),
    'Both programs are configured by environment variables only. They are read once, at start; a program that finds invalid ones names ' +
      'all of them and exits with 2 (the agent) or 1 (the broker). No message quotes a key or a password.',
    '## The broker',
    tableOf(brokerVariables),
    'Certificate files are read again when they change. Log level, limits, origins and proxies are applied from `BROKKR_CONFIG_FILE` ' +
      'while the broker runs; everything else needs a restart, and the log says so.',
    '## The agent',
    tableOf(agentVariables),
    'Log level, pull interval and the number of deletions are applied from `BROKKR_CONFIG_FILE` while the agent runs.',
    '## Traces',
    'Broker, agent and CLI read the standard variables of OpenTelemetry. Without an endpoint there are no traces.',
    tableOf(traceVariables),
    '## The CLI',
    'The CLI reads `BROKKR_SERVER`, `BROKKR_PAK` and `BROKKR_CONTEXT` in place of `--server`, a stored key and `--context`; see ' +
      '[Commands](cli.md). `brokkr login` stores a key in `~/.config/brokkr/config.yaml`, with mode 0600.',
  );
}

function tableOf(variables: Readonly<Record<string, string>>): string {
  return table(
    ['variable', 'meaning', 'default'],
    Object.entries(variables).map(([name, text]) => {
      const [, meaning = text, note = ''] = /^(.*) \((default:? .*|required.*)\)$/.exec(text) ?? [];
      const fallback = note.replace(/^default:? /, '');
      return [`\`${name}\``, meaning, fallback];
    }),
  );
}
