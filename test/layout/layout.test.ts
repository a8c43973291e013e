import { resolve } from 'node:path';
import { getOption } from '@bufbuild/protobuf';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { roles } from '../../gen/brokkr/v1/options_pb.ts';
import { importRules, isKnownFolder, sourceRules, testRules } from './rules.ts';
import { foldersBelow, readSources, toSource } from './sources.ts';
import { treeRules } from './tree-rules.ts';

const root = resolve(import.meta.dirname, '../..');
const sources = readSources(root);
const layout = suite('layout');

for (const { name, reason, find, example } of [...importRules, ...sourceRules, ...testRules]) {
  layout(name, () => {
    const found = sources.flatMap((source) => find(source).map((where) => `${source.path}: ${where}`));
    assert.equal(found, [], `${found.join('\n')}\n(${reason})`);
    assert.is.not(find(toSource(example.path, example.text)).length, 0, 'the rule does not find its own example');
  });
}

for (const { name, reason, find, example } of treeRules) {
  layout(name, () => {
    const found = find(sources);
    assert.equal(found, [], `${found.join('\n')}\n(${reason})`);
    assert.is.not(find(example).length, 0, 'the rule does not find its own example');
  });
}

layout('every folder belongs to the layout', () => {
  assert.equal(
    foldersBelow(root).filter((folder) => !isKnownFolder(folder)),
    [],
  );
  assert.not(isKnownFolder('broker/misc'));
});

layout('every RPC names the roles that may call it', () => {
  const methods = [BrokerService, AgentService, AdminService].flatMap((service) => service.methods);
  const open = methods.filter((method) => getOption(method, roles).length === 0);
  assert.equal(
    open.map(({ name, parent }) => `${parent.name}.${name}`),
    [],
  );
});

layout('imports are recognised in every form', () => {
  const text = [
    "import { a } from './a.ts';",
    "import type { B } from '../b.ts';",
    "import { type C, type D } from './c.ts';",
    "import {\n  type E,\n  f,\n} from './e.ts';",
    "import './g.ts';",
    "export { h } from 'h';",
    "const i = await import('./i.ts');",
    "import json from './j.json' with { type: 'json' };",
  ].join('\n');
  assert.equal(
    toSource('broker/x.ts', text).imports.map(({ target, typeOnly, line }) => [target, typeOnly, line]),
    [
      ['broker/a.ts', false, 1],
      ['b.ts', true, 2],
      ['broker/c.ts', true, 3],
      ['broker/e.ts', false, 4],
      ['broker/g.ts', false, 8],
      ['h', false, 9],
      ['broker/i.ts', false, 10],
      ['broker/j.json', false, 11],
    ],
  );
});

layout.run();
