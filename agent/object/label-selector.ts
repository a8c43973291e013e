import { at, isRecord, type KubeObject, listAt, textAt } from './kube-object.ts';

/** Formats a workload's label selector as a query parameter; undefined when it has none. */
export function selectorOf(workload: KubeObject): string | undefined {
  const selector = at(workload, 'spec', 'selector');
  // A ReplicationController's selector has no matchLabels and matchExpressions: it is a map of labels.
  const labels = workload.kind === 'ReplicationController' ? selector : at(selector, 'matchLabels');
  const terms = [
    ...Object.entries(isRecord(labels) ? labels : {}).map(([key, value]) => `${key}=${String(value)}`),
    ...listAt(selector, 'matchExpressions').flatMap(expressionText),
  ];
  return terms.length > 0 ? terms.join(',') : undefined;
}

function expressionText(expression: unknown): string | [] {
  const key = textAt(expression, 'key') ?? '';
  const values = listAt(expression, 'values').join(',');
  switch (textAt(expression, 'operator')) {
    case 'In':
      return `${key} in (${values})`;
    case 'NotIn':
      return `${key} notin (${values})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
    default:
      return [];
  }
}
