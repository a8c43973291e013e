import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ManifestObject } from './object.ts';
import { parseManifest } from './parse.ts';
import { linesOf } from './rules.ts';

const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n';
const named = (name: string) => head.replace('name: a', `name: ${name}`);
const bytes = (text: string | Uint8Array) => Buffer.from(text as string);

function violationsOf(text: string) {
  const result = parseManifest(bytes(text));
  return 'violations' in result ? result.violations : [];
}

function objectsOf(text: string) {
  const result = parseManifest(bytes(text));
  assert.not('violations' in result, JSON.stringify(result));
  return 'violations' in result ? [] : linesOf(result.data).map((line) => JSON.parse(line) as ManifestObject);
}

const manifests = suite('manifests as kubectl takes them');

function warningsOf(text: string): readonly string[] {
  const result = parseManifest(bytes(text));
  return 'violations' in result ? [] : result.warnings;
}

manifests('keep a key or a label that only looks like an exponent as text', () => {
  const [object] = objectsOf(
    'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, labels: {zone: e1}}\ndata:\n  e1: first\n',
  );
  assert.equal(object?.data, { e1: 'first' });
  assert.equal(object?.metadata.labels, { zone: 'e1' });
});

manifests('keep integers of 64 bits digit for digit', () => {
  const result = parseManifest(bytes(`${head}spec:\n  x: [1, 9007199254740993, -9223372036854775808]\n`));
  assert.ok('data' in result);
  assert.match(Buffer.from(result.data).toString(), '"x":[1,9007199254740993,-9223372036854775808]');
});

manifests('give the items of a typed list its kind and apiVersion', () => {
  const list =
    'apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: a}\n- metadata: {name: b}\n  kind: Secret\n';
  assert.equal(
    objectsOf(list).map(({ kind, apiVersion, metadata }) => [kind, apiVersion, metadata.name]),
    [
      ['ConfigMap', 'v1', 'a'],
      ['Secret', 'v1', 'b'],
    ],
  );
  assert.is(objectsOf('apiVersion: v1\nkind: List\nitems: null\n').length, 0);
  assert.equal(violationsOf('apiVersion: v1\nkind: List\nitems:\n- metadata: {name: a}\n').length, 2);
});

manifests('take a kind in lower case and any name of a version', () => {
  const text = 'apiVersion: db.example.org/stable\nkind: postgresql\nmetadata: {name: a, namespace: ""}\n';
  assert.equal(objectsOf(text), [
    { apiVersion: 'db.example.org/stable', kind: 'postgresql', metadata: { name: 'a' } } as ManifestObject,
  ]);
});

manifests('leave out labels and annotations that are null', () => {
  const [object] = objectsOf(`${head}  labels: {a: null, b: c}\n  annotations: {d: ~}\n`);
  assert.equal(object?.metadata, { name: 'a', labels: { b: 'c' }, annotations: {} });
});

manifests('are read from a stream of JSON objects, an array, and files put together with byte order marks', () => {
  const [one, two] = ['a', 'b'].map((name) => `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"${name}"}}`);
  const names = (text: string) => objectsOf(text).map(({ metadata }) => metadata.name);
  for (const text of [`${one}\n${two}\n`, `${one}${two}`, `${one} ${two}`, `[${one},\n${two}]`, `\n${one}\n\n[${two}]`])
    assert.equal(names(text), ['a', 'b'], text);
  assert.equal(names(`---\n\uFEFF${head}---\n\uFEFF${named('b')}`), ['a', 'b']);
  assert.equal(
    violationsOf(`${one}\n{"apiVersion":"v1",\n"kind":""}\n`).map(({ document, line }) => [document, line]),
    [
      [2, 3],
      [2, 2],
    ],
  );
});

manifests('say the same when what is stored is submitted again', () => {
  const first = parseManifest(bytes(`${head}---\n${named('b')}data: {x: "}{"}\nspec: {n: 9007199254740993}\n`));
  assert.ok('data' in first);
  const second = parseManifest(first.data);
  assert.ok('data' in second);
  assert.equal(second.checksum, first.checksum);
});

manifests('that were exported from a cluster lose what only a live object has, and say so', () => {
  const service = `apiVersion: v1
kind: Service
metadata: {name: web, uid: 1-2, resourceVersion: "7", creationTimestamp: "2026-01-01T00:00:00Z", managedFields: []}
spec: {clusterIP: 10.0.0.7, clusterIPs: [10.0.0.7], ports: [{port: 80, nodePort: 30080}], selector: {a: b}}
status: {loadBalancer: {}}
`;
  assert.equal(objectsOf(service), [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { ports: [{ port: 80 }], selector: { a: 'b' } },
    } as unknown as ManifestObject,
  ]);
  const [warning, ...more] = warningsOf(service);
  assert.match(
    warning ?? '',
    /^Service "web": metadata\.uid, metadata\.resourceVersion, .*spec\.ports\.0\.nodePort left out/,
  );
  assert.is(more.length, 0);
});

manifests('keep an address or a node port that the author has chosen', () => {
  const text =
    'apiVersion: v1\nkind: Service\nmetadata: {name: web, creationTimestamp: null}\nspec: {clusterIP: None, ports: [{port: 80, nodePort: 30080}]}\nstatus: {}\n';
  assert.equal(objectsOf(text)[0]?.spec, { clusterIP: 'None', ports: [{ port: 80, nodePort: 30080 }] });
  assert.equal(warningsOf(text), []);
});

manifests.run();
