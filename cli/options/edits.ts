import { usageError } from '../output/failure.ts';

/** Parses repeated `--annotation KEY=VALUE` options. Throws a usage Failure for anything else. */
export function parseAnnotations(texts: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(texts.map(parseAnnotation));
}

/** Parses edits of labels as kubectl does: "NAME" adds a label, "NAME-" removes it. */
export function labelEdits(texts: readonly string[]): { addLabels: string[]; removeLabels: string[] } {
  const assigned = texts.find((text) => text.includes('='));
  if (assigned !== undefined)
    throw usageError(`"${assigned}": labels have no value`, 'for KEY=VALUE use: brokkr annotate');
  return {
    addLabels: texts.filter((text) => !text.endsWith('-')),
    removeLabels: texts.filter((text) => text.endsWith('-')).map((text) => text.slice(0, -1)),
  };
}

/** Parses edits of annotations as kubectl does: "KEY=VALUE" sets an annotation, "KEY-" removes it. */
export function annotationEdits(texts: readonly string[]): {
  setAnnotations: Record<string, string>;
  removeAnnotations: string[];
} {
  const isRemoval = (text: string) => text.endsWith('-') && !text.includes('=');
  return {
    setAnnotations: parseAnnotations(texts.filter((text) => !isRemoval(text))),
    removeAnnotations: texts.filter(isRemoval).map((text) => text.slice(0, -1)),
  };
}

/** Parses "KEY=VALUE". Throws a usage Failure for anything else. */
function parseAnnotation(text: string): [key: string, value: string] {
  const separator = text.indexOf('=');
  if (separator < 1) throw usageError(`"${text}" is not KEY=VALUE`);
  return [text.slice(0, separator), text.slice(separator + 1)];
}
