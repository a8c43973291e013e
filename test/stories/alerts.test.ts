// time limit: 5 min
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { parser } from '@prometheus-io/lezer-promql';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parse } from 'yaml';
import { programPath } from '../../sandbox/program-path.ts';
import { type Known, ofAgent, ofBroker } from './metrics.table.ts';

const root = resolve(import.meta.dirname, '../..');
const folder = join(root, 'charts/broker/signals');
const rulesFile = join(folder, 'alerts.yaml');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}
const { groups } = parse(readFileSync(rulesFile, 'utf8')) as { groups: { name: string; rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
}
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly query: string }[] };
}
const dashboards = readdirSync(join(folder, 'dashboards')).map(
  (name) => JSON.parse(readFileSync(join(folder, 'dashboards', name), 'utf8')) as Dashboard,
);

const ofProcess = new Registry();
collectDefaultMetrics({ register: ofProcess });
const known: Known = {
  ...ofBroker,
  ...ofAgent,
  ...Object.fromEntries(ofProcess.getMetricsAsArray().map(({ name }) => [name, ['gauge', {}] as const])),
};

/** Returns the parts of an expression that no program has: unknown syntax, metrics, labels and label values. */
function strangeIn(expression: string): string[] {
  const text = expression.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
  const strange: string[] = [];
  parser.parse(text).iterate({
    enter({ type, node, from, to }) {
      if (type.isError) strange.push(`syntax at ${from}: ${text}`);
      if (type.name !== 'VectorSelector') return;
      const metric = text.slice(from, to).split('{', 1)[0] ?? '';
      const base = metric in known ? metric : metric.replace(/_(bucket|sum|count)$/, '');
      const [kind, labels] = known[base] ?? [];
      if (!kind || (base !== metric && kind !== 'histogram')) strange.push(`metric ${metric}`);
      for (const [, label = '', operator, value = ''] of text
        .slice(node.from, node.to)
        .matchAll(/(\w+)(=~|!~|!=|=)"([^"]*)"/g)) {
        const allowed = labels?.[label];
        if (label === 'instance') continue;
        const values = operator?.endsWith('~') ? value.split('|').filter((one) => /^\w+$/.test(one)) : [value];
        const isKnown = (one: string) => (allowed instanceof RegExp ? allowed.test(one) : allowed?.includes(one));
        strange.push(...values.filter((one) => !isKnown(one)).map((one) => `${metric} with ${label}="${one}"`));
      }
    },
  });
  return strange;
}

const alerts = suite('alerts');

alerts('use only metrics and labels that the programs have', () => {
  assert.ok(rules.length > 15);
  assert.equal(
    rules.flatMap(({ alert, expr }) => strangeIn(expr).map((what) => `${alert}: ${what}`)),
    [],
  );
});

alerts('state the problem, its severity, and where to read what to do', () => {
  assert.is(new Set(rules.map(({ alert }) => alert)).size, rules.length);
  for (const { alert, labels, annotations } of rules) {
    assert.match(alert, /^Brokkr[A-Z]/);
    assert.ok(['critical', 'warning', 'info'].includes(labels.severity ?? ''), alert);
    assert.match(annotations.summary ?? '', /\.$/, alert);
    assert.ok(annotations.description, alert);
    assert.match(annotations.runbook_url ?? '', /^docs\/content\/how-to\/[a-z-]+\.md$/, alert);
  }
});

alerts('link to existing pages', () => {
  const pages = new Set(rules.map(({ annotations }) => annotations.runbook_url ?? ''));
  // Without the pages about incidents there is nothing to link to.
  if (!existsSync(join(root, 'docs/content/index.md'))) return;
  assert.equal(
    [...pages].filter((page) => !existsSync(join(root, page))),
    [],
  );
});

alerts('name only existing commands', () => {
  const program = readFileSync(join(root, 'cli/program.ts'), 'utf8');
  for (const { annotations } of rules)
    for (const [, verb = ''] of (annotations.description ?? '').matchAll(/\bbrokkr ([a-z-]+)/g))
      assert.match(program, `verb: '${verb}'`);
});

alerts('with an unknown metric or label are found', () => {
  assert.equal(strangeIn('max(brokkr_agents{state="offline"}) > 0'), []);
  assert.equal(strangeIn('brokkr_agents{state="away"}'), ['brokkr_agents with state="away"']);
  assert.equal(strangeIn('rate(brokkr_nothing_total[5m])'), ['metric brokkr_nothing_total']);
  assert.equal(strangeIn('brokkr_agents_count'), ['metric brokkr_agents_count']);
  assert.is.not(strangeIn('sum by (state brokkr_agents').length, 0);
});

const promtoolPath = programPath(['promtool']);
if (promtoolPath === undefined) {
  process.stdout.write('promtool is not here (Debian has it in prometheus): the rules were only read\n');
} else {
  const promtool = (...args: string[]) => promisify(execFile)(promtoolPath, args, { cwd: folder });
  alerts('are valid rules for Prometheus', async () => {
    assert.match((await promtool('check', 'rules', rulesFile)).stdout, `${rules.length} rules found`);
  });
  alerts('fire when they should, and only then', async () => {
    assert.match((await promtool('test', 'rules', 'alerts.test.yaml')).stdout, 'SUCCESS');
  });
}

alerts.run();

const boards = suite('dashboards');

boards('use only metrics and labels that the programs have', () => {
  assert.is(dashboards.length, 2);
  for (const { title, panels, templating } of dashboards) {
    const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const lists = templating.list.flatMap(({ query }) => /^label_values\((\w+),/.exec(query)?.[1] ?? []);
    assert.ok(expressions.length > 15, title);
    assert.equal([...expressions, ...lists].flatMap(strangeIn), [], title);
  }
});

boards('show every metric of the programs', () => {
  const text = JSON.stringify(dashboards);
  const shown = (name: string) => new RegExp(`\\b${name}(_bucket|_count|_sum)?\\b`).test(text);
  const aside = ['brokkr_change_feed_healthy', 'brokkr_database_up', 'brokkr_audit_unsealed'];
  const left = [...Object.keys(ofBroker), ...Object.keys(ofAgent)].filter((name) => !shown(name));
  assert.equal(left.sort(), [...aside, 'brokkr_config_last_reload_success_timestamp_seconds'].sort());
});

boards('have panels that do not overlap', () => {
  for (const { panels } of dashboards) {
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    assert.is(new Set(cells).size, cells.length);
    assert.is(new Set(panels.map(({ id }) => id)).size, panels.length);
    assert.ok(panels.every(({ gridPos: { x, w } }) => x + w <= 24));
  }
});

boards('have unique names', () => {
  assert.equal(dashboards.map(({ uid }) => uid).sort(), ['brokkr-agents', 'brokkr-broker']);
});

boards.run();
