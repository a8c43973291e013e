import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseTemplate } from './jsonpath.ts';

const value = {
  agents: [
    { name: 'one', online: true, annotations: { 'example.org/zone': 'a' }, placements: { applied: 2 } },
    { name: 'two', online: false, annotations: {}, placements: { applied: 0 } },
  ],
};
const jsonpath = suite('cli: jsonpath');

jsonpath('selects what kubectl selects', () => {
  for (const [template, text] of [
    ['{.agents[*].name}', 'one two'],
    ['{$.agents[0].name}', 'one'],
    ['{agents[1].name}', 'two'],
    ['{.agents[?(@.online==true)].name}', 'one'],
    ['{.agents[?(@.name=="two")].placements.applied}', '0'],
    ['{..name}', 'one two'],
    ['{.agents[0].annotations.example\\.org/zone}', 'a'],
    ["{.agents[0].annotations['example.org/zone']}", 'a'],
    ['{.agents[0].placements}', '{"applied":2}'],
    ['{.nothing}', ''],
    ['name: {.agents[0].name}!', 'name: one!'],
    ['{range .agents[*]}{.name}{"\\t"}{.online}{"\\n"}{end}', 'one\ttrue\ntwo\tfalse\n'],
  ] as const)
    assert.is(parseTemplate(template)(value), text, template);
});

jsonpath('rejects an invalid template before any request', () => {
  for (const template of ['', '{', '{.a', 'a}', '{range .a}{.b}', '{end}'])
    assert.throws(() => parseTemplate(template), /jsonpath/, template);
  assert.throws(() => parseTemplate('{.agents[?(@.b ===)]}')(value), /is not a path/);
});

jsonpath('runs nothing as code', () => {
  for (const filter of [
    'process.exit(1)',
    'constructor.constructor("return 1")()',
    '@.constructor.constructor("x")()',
  ]) {
    let text = '';
    try {
      text = parseTemplate(`{.agents[?(${filter})].name}`)(value);
    } catch (error) {
      text = String(error);
    }
    assert.not.match(text, 'one');
  }
});

jsonpath.run();
