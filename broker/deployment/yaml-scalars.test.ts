import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LineCounter } from 'yaml';
import { parseExact } from '../../contract/exact-json.ts';
import { needs } from '../../test/runner/needs.ts';
import { localGoTool } from '../../test/tools/go-tool.ts';
import { toCanonical } from './canonical.ts';
import { composeYaml, findProblems, plainValue } from './yaml.ts';

/** `BROKKR_RECORD=1` writes the table of spellings anew from kubectl's own reader. */
const record = process.env.BROKKR_RECORD === '1';
const table = join(import.meta.dirname, 'yaml-spellings.txt');
const seed = Number(process.env.BROKKR_TEST_SEED ?? 1);

/** Reads a document as the broker does: its JSON, or null when it is refused. */
function read(text: string): string | null {
  const [document, ...others] = composeYaml(text, new LineCounter());
  if (!document || 'message' in document || others.length > 0 || findProblems(document).length > 0) return null;
  try {
    return JSON.stringify(toCanonical(plainValue(document)));
  } catch {
    return null;
  }
}

/**
 * Spells scalars as people and programs do: numbers of all bases with signs, underscores and exponents, commit ids, dates, words for
 * true and nothing, and mixtures of their letters.
 */
const spelling = fc.oneof(
  fc.stringMatching(/^[-+]?[0-9]{1,22}$/),
  fc.stringMatching(/^[-+]?0[xX][0-9a-fA-F_]{1,18}$/),
  fc.stringMatching(/^[-+]?0[oO]?[0-9_]{1,24}$/),
  fc.stringMatching(/^[-+]?0[bB][01_]{1,66}$/),
  fc.stringMatching(/^[-+]?[0-9_]{0,8}\.?[0-9_]{0,8}([eE][-+]?[0-9]{0,6})?$/),
  fc.stringMatching(/^[0-9a-f]{7,12}$/),
  fc.stringMatching(/^[0-9]{1,3}e[0-9]{1,5}$/),
  fc.stringMatching(/^[0-9]{1,2}(:[0-9]{1,2}){1,2}(\.[0-9]{1,3})?$/),
  fc.stringMatching(
    /^[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z| ?[-+][0-9]{1,2})?)?$/,
  ),
  fc.stringMatching(/^[-+]?\.(inf|Inf|INF|nan|NaN|NAN|[0-9]{1,6}(e[-+]?[0-9]{1,3})?)$/),
  fc.constantFrom(
    'y',
    'Y',
    'n',
    'N',
    'yes',
    'Yes',
    'YES',
    'yEs',
    'on',
    'ON',
    'oN',
    'off',
    'Off',
    'true',
    'TRUE',
    'tRUE',
    'False',
    'no',
  ),
  fc.constantFrom(
    'null',
    'Null',
    'NULL',
    'nULL',
    '~',
    '9007199254740993',
    '-9223372036854775808',
    '9223372036854775807',
  ),
  fc.constantFrom(
    '9223372036854775808',
    '18446744073709551615',
    '18446744073709551616',
    '1e308',
    '1e309',
    '-1e999',
    '0x8000000000000000',
  ),
  fc.stringMatching(/^[-+.0-9eExXoObB_a-fA-F][-+.0-9eExXoObB_:a-fA-F]{0,11}$/),
);

/** A spelling as a value, in a list, quoted, with a tag, and as a key. */
const documentOf = fc
  .tuple(
    spelling,
    fc.constantFrom('value', 'key', 'list', 'flow', 'quoted', 'tagged'),
    fc.constantFrom('!!str', '!!int', '!!float'),
  )
  .map(([text, place, tag]) => {
    switch (place) {
      case 'key':
        return `? ${text}\n: x\n`;
      case 'list':
        return `a:\n- ${text}\n`;
      case 'flow':
        // Two readers of YAML differ over a colon or a dash before a bracket, which has nothing to do with scalars.
        return /:$|^-$/.test(text) ? `a: ${text}1\n` : `{a: [${text}]}\n`;
      case 'quoted':
        return `a: "${text}"\n`;
      case 'tagged':
        return `a: ${tag} ${text}\n`;
      default:
        return `a: ${text}\n`;
    }
  });

/** Both texts say the same to an API server, which reads an integer beyond int64 as a float. */
function isSame(ours: string | null, kubectl: string | null): boolean {
  if (ours === null || kubectl === null) return ours === kubectl;
  return JSON.stringify(toCanonical(parseExact(kubectl))) === JSON.stringify(toCanonical(parseExact(ours)));
}

const scalars = suite('scalars as kubectl reads them');

scalars('reads the recorded spellings as kubectl does', () => {
  const lines = readFileSync(table, 'utf8').trimEnd().split('\n');
  assert.ok(lines.length >= 10_000, `${lines.length} spellings`);
  const wrong = lines.flatMap((line) => {
    const [document, kubectl] = JSON.parse(line) as [string, string | null];
    const ours = read(document);
    return isSame(ours, kubectl) ? [] : [`${JSON.stringify(document)}: ${ours}, kubectl has ${kubectl}`];
  });
  assert.equal(wrong.slice(0, 20), []);
});

scalars('keeps a short commit id and a key that looks like an exponent as text', () => {
  assert.is(read('e1: 7e99999\n'), '{"e1":"7e99999"}');
  assert.is(read('{zone: e1, 12e3: x}\n'), '{"12000":"x","zone":"e1"}');
});

scalars('keeps integers of 64 bits exactly', () => {
  assert.is(read('a: [9007199254740993, -9223372036854775808]\n'), '{"a":[9007199254740993,-9223372036854775808]}');
});

if (needs('go')) {
  const kubectl = await localGoTool(resolve(import.meta.dirname, '../../test/tools/kubectl-yaml'));
  const ask = (documents: readonly string[]) =>
    JSON.parse(execFileSync(kubectl, { input: JSON.stringify(documents), encoding: 'utf8', maxBuffer: 1 << 28 })) as (
      | string
      | null
    )[];

  scalars('reads spellings drawn by chance as kubectl does', () => {
    const documents = [
      ...new Set(fc.sample(documentOf, { numRuns: record ? 14_000 : 5_000, seed: record ? 1 : seed })),
    ];
    const answers = ask(documents);
    if (record) {
      const lines = documents.map((document, at) => JSON.stringify([document, answers[at]]));
      writeFileSync(table, `${lines.slice(0, 10_000).join('\n')}\n`);
    }
    const wrong = documents.flatMap((document, at) => {
      const ours = read(document);
      const theirs = answers[at] ?? null;
      return isSame(ours, theirs) ? [] : [`${JSON.stringify(document)}: ${ours}, kubectl has ${theirs}`];
    });
    assert.equal(wrong.slice(0, 20), [], `seed ${seed}`);
  });
}

scalars.run();
