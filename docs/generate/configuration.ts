import { variables as agentVariables } from '../../agent/config.ts';
import { variables as brokerVariables } from '../../broker/config.ts';
import { generatedFrom, page, table } from './markdown.ts';

/** The page about the environment of broker and agent. */
export function configurationPage(): string {
  return page(
    '# Configuration',
    generatedFrom('`broker/config.ts` and `agent/config.ts`'),
    'Both programs are set by environment variables alone. They are read once, at the start; a program that finds a bad one names all ' +
      'bad ones and ends with 2 (the agent) or 1 (the broker). No message quotes a key or a password.',
    '## The broker',
    tableOf(brokerVariables),
    'The files of certificates are read again when they change. Everything else needs a restart.',
    '## The agent',
    tableOf(agentVariables),
    '## The CLI',
    '`BROKKR_SERVER`, `BROKKR_PAK` and `BROKKR_CONTEXT` stand in for the options of the same names; see [Commands](cli.md).',
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
