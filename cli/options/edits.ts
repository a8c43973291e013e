import { usageError } from '../output/failure.ts';

/** Annotations of repeated `--annotation KEY=VALUE` options. */
export function parseAnnotations(texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(texts.map(parseAnnotation));
}

/** kubectl's way to edit: "NAME" adds a label, "NAME-" takes it away. */
export function labelEdits(texts: readonly string[]): { addLabels: string[]; removeLabels: string[] } {
  const assigned = texts.find((text) => text.includes('='));
  if (assigned !== undefined)
    throw usageError(`"${assigned}": labels are plain words`, 'for KEY=VALUE use: brokkr annotate');
  return {
    addLabels: texts.filter((text) => !text.endsWith('-')),
    removeLabels: texts.filter((text) => text.endsWith('-')).map((text) => text.slice(0, -1)),
  };
}

/** kubectl's way to edit: "KEY=VALUE" sets an annotation, "KEY-" takes it away. */
export function annotationEdits(texts: readonly string[]): {
  setAnnotations: Record<string, string>;
  removeAnnotations: string[];
} {
  const removes = (text: string) => text.endsWith('-') && !text.includes('=');
  return {
    setAnnotations: parseAnnotations(texts.filter((text) => !removes(text))),
    removeAnnotations: texts.filter(removes).map((text) => text.slice(0, -1)),
  };
}

/** "KEY=VALUE" as an entry. Throws a usage Failure for anything else. */
function parseAnnotation(text: string): [key: string, value: string] {
  const at = text.indexOf('=');
  if (at < 1) throw usageError(`"${text}" is not KEY=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
