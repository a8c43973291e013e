/** A part of a text that is read by itself. */
export interface TextPart {
  readonly text: string;
  /** The line of the whole text on which it begins, from 1. */
  readonly firstLine: number;
}

/**
 * Splits a stream of JSON objects or arrays (`{...} {...}`, one a line or not), which kubectl takes as it takes YAML. Undefined for a
 * text that is none, such as YAML or a single object, which is read as a whole. Takes linear time: it only follows brackets and strings.
 */
export function splitJson(text: string): TextPart[] | undefined {
  const starts = /^\uFEFF?\s*[{[]/.exec(text);
  if (!starts) return undefined;
  const parts: TextPart[] = [];
  let begin = starts[0].length - 1;
  let line = linesIn(text, 0, begin) + 1;
  for (;;) {
    const end = endOfValue(text, begin);
    // Not JSON after all, or not closed: the YAML reader finds the words for it.
    if (end === undefined) return undefined;
    parts.push({ text: text.slice(begin, end), firstLine: line });
    const next = skipSpace(text, end);
    if (next === text.length) return parts.length > 1 ? parts : undefined;
    if (text[next] !== '{' && text[next] !== '[') return undefined;
    line += linesIn(text, begin, next);
    begin = next;
  }
}

/** The place after the bracket that closes the one at `begin`. */
function endOfValue(text: string, begin: number): number | undefined {
  let depth = 0;
  for (let at = begin; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        depth += 1;
        break;
      case '}':
      case ']':
        depth -= 1;
        if (depth === 0) return at + 1;
        break;
      case '"':
        at = endOfString(text, at);
        break;
    }
  }
  return undefined;
}

/** The place of the quote that ends the string which begins at `begin`, or the end of the text. */
function endOfString(text: string, begin: number): number {
  for (let at = begin + 1; at < text.length; at++) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (at < text.length && /\s/.test(text[at]!)) at += 1;
  return at;
}

function linesIn(text: string, from: number, to: number): number {
  let count = 0;
  for (let at = text.indexOf('\n', from); at >= 0 && at < to; at = text.indexOf('\n', at + 1)) count += 1;
  return count;
}
