import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { ManifestObject } from './object.ts';
import { limits, parseManifest } from './parse.ts';
import { linesOf } from './rules.ts';

const head = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n';
const named = (name: string) => head.replace('name: a', `name: ${name}`);
const bytes = (text: string | Uint8Array) => Buffer.from(text as string);
const times = (count: number, text: (at: number) => string) =>
  Array.from({ length: count }, (_, at) => text(at)).join('');

function violationsOf(text: string | Uint8Array) {
  const result = parseManifest(bytes(text));
  return 'violations' in result ? result.violations : [];
}

function objectsOf(text: string | Uint8Array) {
  const result = parseManifest(bytes(text));
  assert.not('violations' in result, JSON.stringify(result));
  return 'violations' in result ? [] : linesOf(result.data).map((line) => JSON.parse(line) as ManifestObject);
}

/** Each bad text with document, line and words of the first thing that is said about it. */
const bad: readonly [what: string, text: string | Uint8Array, document: number, line: number, words: RegExp][] = [
  [
    'a bomb of aliases',
    `a: &a [x,x,x,x,x,x,x,x,x]\n${times(8, (at) => `${'bcdefghi'[at]}: &${'bcdefghi'[at]} [${times(9, () => `*${'abcdefgh'[at]},`)}]\n`)}`,
    1,
    1,
    /more than 100 aliases/,
  ],
  ['101 aliases', `${head}x: &x v\ndata:\n${times(101, (at) => `  k${at}: *x\n`)}`, 1, 1, /more than 100 aliases/],
  ['an alias without an anchor', `${head}data: *nope\n`, 1, 5, /alias \*nope has no anchor before it/],
  ['an alias of what is around it', `${head}data: &d [*d]\n`, 1, 5, /alias \*d has no anchor before it/],
  ['brackets without end', '['.repeat(100_000), 1, 1, /nested more than 64 deep/],
  ['brackets with an end', '['.repeat(5_000) + ']'.repeat(5_000), 1, 1, /nested more than 64 deep/],
  ['depth in blocks', times(100, (at) => `${' '.repeat(at)}a:\n`), 1, 66, /nested more than 64 deep/],
  ['65 levels', `${head}data:\n  x: ${'{a: '.repeat(64)}1${'}'.repeat(64)}\n`, 1, 6, /nested more than 64 deep/],
  ['a key twice', `${head}data:\n  x: "1"\n  x: "2"\n`, 1, 7, /key "x" occurs twice/],
  ['a key twice in JSON', '{"apiVersion":"v1",\n"kind":"ConfigMap","kind":"Secret"}', 1, 2, /key "kind" occurs twice/],
  ['a key twice as JSON has it', `${head}data:\n  1: "1"\n  "1": "2"\n`, 1, 7, /key "1" occurs twice/],
  ['a map as key', `${head}data:\n  ? {a: b}\n  : c\n`, 1, 6, /a key must be a text/],
  ['null as key', `${head}data:\n  ~: c\n`, 1, 6, /a key must be a text/],
  ['an unknown tag', `${head}data: !vault x\n`, 1, 5, /Unresolved tag: !vault/],
  ['a tag of its own', `%TAG ! tag:example.com,2000:\n---\n${head}data: !foo x\n`, 1, 7, /Unresolved tag/],
  ['a JavaScript tag', `${head}data: !!js/function "x"\n`, 1, 5, /Unresolved tag/],
  ['a set', `${head}data: !!set {a, b}\n`, 1, 5, /Unresolved tag/],
  ['binary that is none', `${head}data:\n  x: !!binary "@@@"\n`, 1, 6, /is not base 64/],
  ['a NUL byte', `${head}data:\n  x: "a\0b"\n`, 1, 6, /NUL/],
  ['an escaped NUL', `${head}data:\n  x: "a\\0b"\n`, 1, 6, /NUL/],
  ['an escaped NUL in a key', `${head}data:\n  "a\\0b": x\n`, 1, 6, /NUL/],
  ['half of a surrogate pair', `${head}data:\n  x: "\\ud800"\n`, 1, 6, /half of a surrogate pair/],
  [
    'half of a pair in JSON',
    '{"apiVersion":"v1","kind":"ConfigMap",\n"metadata":{"name":"\\udc00"}}',
    1,
    2,
    /half of a sur/,
  ],
  [
    'invalid UTF-8',
    Buffer.concat([bytes(`${head}data: {x: "`), Buffer.from([0xc3, 0x28]), bytes('"}\n')]),
    1,
    1,
    /UTF-8/,
  ],
  ['UTF-16', Buffer.from(head, 'utf16le'), 1, 1, /NUL|UTF-8/],
  ['a tab', `${head}data:\n\tx: 1\n`, 1, 6, /Tabs are not allowed/],
  ['infinity', `${head}data:\n  x: .inf\n`, 1, 6, /not a JSON number/],
  ['a name that YAML reads as a boolean', named('n'), 1, 4, /reads it as the boolean false: quote it/],
  ['no kind', 'apiVersion: v1\nmetadata: {name: a}\n', 1, 1, /kind must be like/],
  ['no apiVersion', '\n\nkind: ConfigMap\nmetadata: {name: a}\n', 1, 3, /apiVersion must be like/],
  ['no name', `${head.replace('name: a', 'nam: a')}`, 1, 3, /metadata\.name must be/],
  ['no metadata', 'apiVersion: v1\nkind: ConfigMap\n', 1, 1, /metadata must be a map/],
  ['a name with a slash', named('a/b'), 1, 4, /metadata\.name must be/],
  ['a name with an escape', named('"a\\eb"'), 1, 4, /metadata\.name must be/],
  ['a name that is a number', named('12'), 1, 4, /metadata\.name must be/],
  ['a namespace that is none', `${head}  namespace: A_B\n`, 1, 5, /metadata\.namespace must be/],
  ['a label that is a number', `${head}  labels:\n    x: 1\n`, 1, 6, /metadata\.labels\.x must be a string/],
  ['a label of ours', `${head}  labels:\n    k8s.brokkr.io/stack-id: x\n`, 1, 6, /written by the agents/],
  ['a live object without a name', head.replace('name: a', 'generateName: a-'), 1, 3, /metadata\.name must be/],
  ['an inventory', named('brokkr-inv-x-0'), 1, 4, /inventories/],
  ['text', 'hello', 1, 1, /is not a Kubernetes object/],
  ['a list of texts', `${head}---\n- x\n`, 2, 6, /is not a Kubernetes object/],
  [
    'a bad item of a List',
    'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    nam: b\n',
    1,
    6,
    /metadata\.name/,
  ],
  ['duplicates', `${head}---\n${head}`, 2, 6, /ConfigMap "a" is also in document 1 \(line 1\)/],
  [
    'twins in two versions',
    'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n---\napiVersion: apps/v1beta1\nkind: Deployment\nmetadata: {name: a}\n',
    2,
    5,
    /Deployment "a" is also in document 1/,
  ],
  ['the third document', `${head}---\n${named('b')}---\nkind: x: y\n`, 3, 11, /Nested mappings|compact mappings/],
  ['two documents of YAML 1.2', `%YAML 3.0\n---\n${head}`, 1, 1, /version/i],
  [
    'too many objects',
    times(limits.objects + 1, (at) => `---\n${named(`a${at}`)}`),
    limits.objects + 1,
    25_002,
    /more than 5000 objects/,
  ],
  ['an object that is too large', `${head}data:\n  x: ${'y'.repeat(limits.objectBytes)}\n`, 1, 1, /at most 2097152/],
  ['too many bytes', Buffer.alloc(limits.textBytes + 1, 'a'), 1, 1, /more than 33554432 bytes/],
  [
    'too many bytes by aliases',
    times(5, (at) => `---\n${named(`a${at}`)}x: &x ${'ä'.repeat(20_000)}\ndata: [${'*x, '.repeat(45)}]\n`),
    5,
    30,
    /more than 8388608 bytes/,
  ],
];

const parse = suite('submissions');

for (const [what, text, document, line, words] of bad) {
  parse(`with ${what} are refused with document, line and words`, () => {
    const [first] = violationsOf(text);
    assert.ok(first, 'it is read');
    assert.match(first.message, words);
    assert.equal([first.document, first.line], [document, line], first.message);
  });
}

parse('are told everything that is wrong, at most 20 things', () => {
  const many = violationsOf('a: [\nb: c\n---\napiVersion: v1\n---\n- x\n');
  assert.equal(
    many.map(({ document, line }) => [document, line]),
    [
      [1, 2],
      [2, 4],
      [2, 4],
      [3, 6],
    ],
  );
  assert.is(violationsOf(times(100, () => '---\n- x\n')).length, limits.violations);
});

parse('with one broken line do not repeat themselves, nor carry lines of the text', () => {
  for (const { message } of violationsOf(`${head}data: ${'"'.repeat(200)}\nsecret: topsecret\n`)) {
    assert.not.match(message, '\n');
    assert.not.match(message, 'topsecret');
  }
  assert.is(violationsOf(`${head}data: ${'"'.repeat(200)}\n`).length, 1);
});

parse('are read as kubectl reads them', () => {
  // The result of sigs.k8s.io/yaml v1.6.0 for the same text.
  const text = `a: 0644
aa: 1.
b: yes
bb: -0x1f
c: on
cc: 1_0.5
d: 1_000
dd: 0777_7
e: 12:30:45
ee: N
f: 2001-01-01
ff: TRUE
g: 0o7
gg: tRue
i: 1e3
j: 0x1F
jj: 2001-12-14t21:59:43.10-05:00
k: ~
kk: 190:20:30
l: No
ll: null
m: 1.0
n: 010
o: y
p: 08
q: 0b11
r: +1
rr: 00
s: |
  x
    y
sa: >-
  x
  y
t: .5
tt: .5e3
u: =
v: "x"
w: !!str 12
x: !!binary aGVsbG8=
y: Off
z: 0.1
1: one
true: two
<<: {z: 2, zz: 3}
`;
  const read =
    '{"1":"one","a":420,"aa":1,"b":true,"bb":-31,"c":true,"cc":10.5,"d":1000,"dd":4095,"e":"12:30:45","ee":false,"f":"2001-01-01","false":8,"ff":true,"g":7,"gg":"tRue","i":1000,"j":31,"jj":"2001-12-14t21:59:43.10-05:00","k":null,"kk":"190:20:30","l":false,"ll":null,"m":1,"o":true,"p":8,"q":3,"r":1,"rr":0,"s":"x\\n  y\\n","sa":"x y","t":0.5,"tt":500,"u":"=","v":"x","w":"12","x":"hello","z":0.1,"zz":3}';
  // y and true are one key there, where the last one wins; here that is a key that occurs twice.
  const kept = text.replace('y: Off\n', '').replace('true: two\n', '');
  const [object] = objectsOf(`${head}data:\n${kept.replace(/^/gm, '  ').trimEnd()}\n`);
  assert.equal(object?.data, JSON.parse(read));
});

parse('with a byte order mark, CRLF, comments, empty documents and an end mark are read', () => {
  assert.is(objectsOf(`\ufeff${head}`).length, 1);
  assert.equal(objectsOf(`${head}data:\n  x: "1"\n`.replaceAll('\n', '\r\n'))[0]?.data, { x: '1' });
  assert.is(objectsOf(`---\n---\n# nothing\n---\n${head}...\n---\n`).length, 1);
  assert.is(objectsOf('').length, 0);
  assert.is(objectsOf('# nothing\n').length, 0);
});

parse('with anchors, aliases and merge keys are read', () => {
  const [object] = objectsOf(`${head}x: &x {k: "1", l: "2"}\ndata:\n  <<: *x\n  k: "3"\n  m: &m "4"\n  "n": *m\n`);
  assert.equal(object?.data, { k: '3', l: '2', m: '4', n: '4' });
});

parse('as JSON, as a List, and with keys of JavaScript are read', () => {
  const json = JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a' },
    data: { x: 'é/\u{1f600}' },
  });
  assert.equal(objectsOf(json), [JSON.parse(json)]);
  assert.equal(objectsOf(JSON.stringify(JSON.parse(json), null, '\t')), [JSON.parse(json)]);
  const list = { apiVersion: 'v1', kind: 'ConfigMapList', items: [JSON.parse(json)] };
  assert.equal(objectsOf(JSON.stringify(list)), [JSON.parse(json)]);
  const [object] = objectsOf(`${head}data:\n  __proto__: "1"\n  constructor: "2"\n  toString: "3"\n`);
  assert.equal(Object.entries(object?.data as object), [
    ['__proto__', '1'],
    ['constructor', '2'],
    ['toString', '3'],
  ]);
  assert.is(({} as Record<string, unknown>)['1'], undefined);
});

parse('that say the same in another order have the same checksum', () => {
  const one = parseManifest(bytes(`${head}data: {a: "1", b: "2"}\n`));
  const other = parseManifest(
    bytes('{"data":{"b":"2","a":"1"},"metadata":{"name":"a"},"kind":"ConfigMap","apiVersion":"v1"}'),
  );
  assert.ok('checksum' in one && 'checksum' in other);
  assert.equal(one.checksum, other.checksum);
  assert.equal(one.kinds, ['v1/ConfigMap']);
});

parse('with a hundred thousand keys or anchors are read in reasonable time', () => {
  const [object] = objectsOf(`${head}data:\n${times(100_000, (at) => `  k${at}: &a${at} v\n`)}`);
  assert.is(Object.keys(object?.data as object).length, 100_000);
});

parse('with as many objects as allowed are read', () => {
  assert.is(objectsOf(times(limits.objects, (at) => `---\n${named(`a${at}`)}`)).length, limits.objects);
});

parse.run();
