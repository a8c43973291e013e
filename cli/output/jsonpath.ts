import { JSONPath } from 'jsonpath-plus';
import { usageError } from './failure.ts';

type Json = null | boolean | number | string | object;

/** A text, a path, or what is said for each thing that a path finds. */
type Part = { readonly text: string } | { readonly path: string } | { readonly range: string; readonly each: Part[] };

/**
 * A template as kubectl has them: text with `{.path}`, `{"\n"}` and `{range .path}…{end}` in it. Throws a usage error that says what is
 * wrong with it.
 */
export type Template = (value: Json) => string;

export function parseTemplate(source: string): Template {
  const pieces = source.match(/\{(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^{}"'])*\}|[^{}]+/g) ?? [];
  if (pieces.join('') !== source || pieces.length === 0)
    throw usageError(`jsonpath: "${source}" is not a template`, exampleHint);
  const parts = partsOf(pieces[Symbol.iterator](), false);
  // What cannot be a path is said before anything is asked for.
  render(parts, {});
  return (value) => render(parts, value);
}

const exampleHint = "it looks like -o jsonpath='{.agents[*].name}'";

function partsOf(pieces: Iterator<string>, inRange: boolean): Part[] {
  const parts: Part[] = [];
  for (let next = pieces.next(); !next.done; next = pieces.next()) {
    const piece = next.value;
    const inner = piece.slice(1, -1).trim();
    if (!piece.startsWith('{')) parts.push({ text: piece });
    else if (inner === 'end') {
      if (!inRange) throw usageError('jsonpath: there is an {end} without a {range}', exampleHint);
      return parts;
    } else if (inner.startsWith('range '))
      parts.push({ range: pathOf(inner.slice('range '.length)), each: partsOf(pieces, true) });
    else if (/^(".*"|'.*')$/s.test(inner)) parts.push({ text: unquote(inner) });
    else parts.push({ path: pathOf(inner) });
  }
  if (inRange) throw usageError('jsonpath: there is a {range} without an {end}', exampleHint);
  return parts;
}

function render(parts: readonly Part[], value: Json): string {
  return parts
    .map((part) => {
      if ('text' in part) return part.text;
      if ('path' in part) return evaluate(part.path, value).map(textOf).join(' ');
      return evaluate(part.range, value)
        .map((one) => render(part.each, one))
        .join('');
    })
    .join('');
}

/** From the root: `.a`, `a`, `@.a` and `$.a` are the same there. A dot in a name is written `\.`. */
function pathOf(text: string): string {
  const path = text
    .trim()
    .replace(/^[$@]/, '')
    .replace(
      /\.((?:[^.[\]\\]|\\.)*\\\.(?:[^.[\]\\]|\\.)*)/g,
      (_, name: string) => `['${name.replaceAll('\\.', '.')}']`,
    );
  return /^[.[]|^$/.test(path) ? `$${path}` : `$.${path}`;
}

/** Filters are read by a parser of their own: nothing is ever run as a program. */
function evaluate(path: string, json: Json): Json[] {
  try {
    return JSONPath({ path, json, eval: 'safe' }) as Json[];
  } catch {
    throw usageError(`jsonpath: "${path}" is not a path`, exampleHint);
  }
}

function textOf(value: Json): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function unquote(text: string): string {
  if (text.startsWith("'")) return text.slice(1, -1);
  return text.slice(1, -1).replace(/\\(.)/g, (_, letter: string) => escapeSequences[letter] ?? letter);
}

const escapeSequences: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };
