import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { variables as agentVariables } from '../agent/config.ts';
import { variables as brokerVariables } from '../broker/config.ts';
import manifest from '../package.json' with { type: 'json' };
import { installation, optionsOf } from './options.ts';
import { readValues } from './values.ts';
import { chartFiles, chartOf, charts, pathOf } from './write.ts';

const files = suite('charts');

for (const chart of charts) {
  const values = readValues(readFileSync(pathOf(chart, 'values.yaml'), 'utf8'));
  const templates = readdirSync(pathOf(chart, 'templates'))
    .map((name) => readFileSync(pathOf(chart, `templates/${name}`), 'utf8'))
    .join('\n');

  files(`README and schema of the chart of the ${chart} are what npm run charts writes`, () => {
    for (const [file, text] of Object.entries(chartFiles(chart)))
      assert.is(readFileSync(pathOf(chart, file), 'utf8'), text, `${chart}/${file} is stale: npm run charts`);
  });

  files(`the chart of the ${chart} sets variables that the ${chart} reads, and no others`, () => {
    const known: Readonly<Record<string, string>> = chart === 'broker' ? brokerVariables : agentVariables;
    const named = new Set(templates.match(/\bBROKKR_[A-Z_]+\b/g));
    assert.ok(named.size > 5);
    assert.equal(
      [...named].filter((name) => !(name in known)),
      [],
    );
  });

  files(`every value of the chart of the ${chart} is tried`, () => {
    const tried = Object.values(optionsOf(chart)).map((option) => installation(chart, option));
    const isSet = (option: object, path: readonly string[]) =>
      path.reduce<unknown>((at, name) => (at as Record<string, unknown> | undefined)?.[name], option) !== undefined;
    assert.equal(
      values.filter(({ path }) => !tried.some((option) => isSet(option, path))).map(({ path }) => path.join('.')),
      [],
    );
  });

  files(`every value of the chart of the ${chart} says what it is`, () => {
    assert.equal(
      values.filter(({ description }) => description === '').map(({ path }) => path.join('.')),
      [],
    );
  });

  files(`the chart of the ${chart} is of this version`, () => {
    const { version, appVersion } = chartOf(chart);
    assert.equal([version, appVersion], [manifest.version, manifest.version]);
  });
}

files.run();
