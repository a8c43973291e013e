import { type KubeObject, valueAt } from './object.ts';
import { badRequest } from './status.ts';

export type ObjectFilter = (object: KubeObject) => boolean;

/** Parses an equality or set based label selector: `a=b,c!=d,e in (f,g),h notin (i),j,!k`. */
export function parseLabelSelector(text: string): ObjectFilter {
  const terms = splitTerms(text).map(labelTerm);
  return ({ metadata }) => terms.every((term) => term(metadata.labels ?? {}));
}

/** Parses a field selector: `metadata.name=x,metadata.namespace!=y` and any other path to a single value. */
export function parseFieldSelector(text: string): ObjectFilter {
  const terms = splitTerms(text).map((term) => {
    const match = /^([\w.[\]/-]+?)(!=|==|=)(.*)$/.exec(term);
    if (!match) throw badRequest(`unable to parse field selector: ${term}`);
    const [, path = '', operator, desired] = match;
    return (object: KubeObject) => (String(valueAt(object, path) ?? '') === desired) !== (operator === '!=');
  });
  return (object) => terms.every((term) => term(object));
}

/** Commas inside parentheses belong to a term. */
function splitTerms(text: string): string[] {
  return text
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

function labelTerm(term: string): (labels: { [key: string]: string }) => boolean {
  const set = /^(\S+)\s+(in|notin)\s*\(([^)]*)\)$/.exec(term);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return (labels) => {
      const value = labels[key];
      const within = value !== undefined && values.includes(value);
      return operator === 'in' ? within : !within;
    };
  }
  const equality = /^([^!=\s]+)\s*(!=|==|=)\s*([^=\s]*)$/.exec(term);
  if (equality) {
    const [, key = '', operator, value] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const presence = /^(!?)\s*([^!=\s()]+)$/.exec(term);
  if (!presence) throw badRequest(`unable to parse requirement: ${term}`);
  const [, not, key = ''] = presence;
  return not ? (labels) => labels[key] === undefined : (labels) => labels[key] !== undefined;
}
