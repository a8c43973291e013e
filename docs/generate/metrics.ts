import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { generatedFrom, page, table } from './markdown.ts';

const root = resolve(import.meta.dirname, '../..');

/** One metric, as its source declares it. */
export interface Metric {
  readonly kind: string;
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

/** Returns the page about the metrics. */
export function metricsPage(): string {
  return page(
    '# Metrics',
    generatedFrom('the metrics that `broker/` and `agent/` register'),
    'Each program also exposes the metrics of its process and of Node.js, `process_…` and `nodejs_…`: memory, CPU time, open files, ' +
      'event loop.',
    '## The broker',
    'On port 9090, `/metrics`.',
    tableOf(metricsOf('broker')),
    '## The agent',
    'On port 8080, `/metrics`.',
    tableOf(metricsOf('agent')),
  );
}

/** Returns the metrics that a program's sources register, by name. */
export function metricsOf(folder: 'broker' | 'agent'): Metric[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .flatMap((name) => declaredIn(readFileSync(join(root, folder, name), 'utf8')))
    .sort((a, b) => a.name.localeCompare(b.name));
}

function declaredIn(source: string): Metric[] {
  return [...source.matchAll(/new (Counter|Gauge|Histogram|Summary)\(\{([\s\S]*?)\}\)/g)].map(
    ([, kind = '', options = '']) => ({
      kind: kind.toLowerCase(),
      name: textIn(options, 'name'),
      help: textIn(options, 'help'),
      labels: [...(/labelNames: \[([^\]]*)\]/.exec(options)?.[1] ?? '').matchAll(/'(\w+)'/g)].map(
        ([, label = '']) => label,
      ),
    }),
  );
}

function textIn(options: string, property: string): string {
  return new RegExp(`\\b${property}:\\s*(['"\`])(.*?)\\1`).exec(options)?.[2] ?? '';
}

function tableOf(metrics: readonly Metric[]): string {
  return table(
    ['metric', 'kind', 'labels', 'meaning'],
    metrics.map(({ name, kind, help, labels }) => [
      `\`${name}\``,
      kind,
      labels.map((label) => `\`${label}\``).join(', '),
      help,
    ]),
  );
}
