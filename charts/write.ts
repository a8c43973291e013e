/** `npm run charts`: writes README.md and values.schema.json of each chart, from its Chart.yaml and values.yaml. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { type ChartValue, readValues, schemaOf } from './values.ts';

/** A default with more characters than this does not fit in a table. */
const maxDefaultLength = 80;

export const charts = ['broker', 'agent'] as const;
export type Chart = (typeof charts)[number];

/** What is written for a chart: the text of each file, by its name in the chart's folder. */
export function chartFiles(chart: Chart): Readonly<Record<string, string>> {
  const values = readValues(readFileSync(pathOf(chart, 'values.yaml'), 'utf8'));
  return {
    'README.md': readmeOf(chart, values),
    'values.schema.json': `${JSON.stringify(schemaOf(values), null, 2)}\n`,
  };
}

/** A file of a chart. */
export function pathOf(chart: Chart, file: string): string {
  return join(import.meta.dirname, chart, file);
}

/** What a chart says of itself. */
export function chartOf(chart: Chart): Readonly<Record<string, string>> {
  return parse(readFileSync(pathOf(chart, 'Chart.yaml'), 'utf8')) as Record<string, string>;
}

function readmeOf(chart: Chart, values: readonly ChartValue[]): string {
  const { name, description, kubeVersion } = chartOf(chart);
  const required = values.filter(({ description }) => description.includes('(required'));
  const sets = required.map(({ path }) => ` \\\n  --set ${path.join('.')}=…`).join('');
  return [
    '<!-- Written by npm run charts from Chart.yaml and values.yaml. -->',
    `# ${name}`,
    description,
    `For Kubernetes ${kubeVersion?.replace(/^>=|-0$/g, '')} or later; tried with Helm 4. The chart installs no operators and no database.`,
    `\`\`\`sh\nhelm install ${name} charts/${chart} --namespace brokkr --create-namespace${sets}\n\`\`\``,
    '## Values',
    ['| value | default | what |', '|---|---|---|', ...values.map(rowOf)].join('\n'),
    '',
  ].join('\n\n');
}

function rowOf({ path, default: value, description, constraints }: ChartValue): string {
  const choice = constraints.enum ? `one of ${constraints.enum.map((one) => code(one || "''")).join(', ')}` : '';
  const what = [description, choice].filter((part) => part !== '').join(' ');
  const shown = JSON.stringify(value);
  const told = shown.length > maxDefaultLength ? 'see values.yaml' : code(shown);
  return `| ${code(path.join('.'))} | ${told} | ${what.replaceAll('|', '\\|')} |`;
}

function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``;
}

if (import.meta.main)
  for (const chart of charts)
    for (const [file, text] of Object.entries(chartFiles(chart))) writeFileSync(pathOf(chart, file), text);
