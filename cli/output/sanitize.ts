import { stripVTControlCharacters } from 'node:util';

/** Makes untrusted text safe to print on one line: removes control sequences and collapses white space. */
export function sanitize(text: string): string {
  return stripVTControlCharacters(text)
    .replace(/\s+/g, ' ')
    .replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}

/** Makes untrusted text safe to print as a line of its own; unlike `sanitize` it keeps the spacing. */
export function sanitizeLine(text: string): string {
  return stripVTControlCharacters(text.replaceAll('\t', '    ')).replace(/[\p{Cc}\p{Bidi_Control}]/gu, '');
}
