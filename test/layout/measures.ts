import { type ESTree, parseSync, Visitor } from 'rolldown/utils';
import { circlesOf, fileGraph, folderSizes } from './graph.ts';
import { isTestFile, roomCircles } from './rooms.ts';
import type { Source } from './sources.ts';

/** A figure about the sources, as text. */
export type Measure = readonly [name: string, value: string];

const LONG_FUNCTION_LINES = 50;

/** Words that open a clause which is no sentence: "What the broker sent.", "Of those that are left, the oldest." */
const CLAUSES = /^(Of|What|Whether|Where|Who|Whom|Whose|How|Why|Which)\b/;
/** Words that open a sentence only when its main clause follows after a comma: "If it is gone, the next pass decides." */
const OPENINGS = /^(When|Since|If|For|To|With|As|Like|After|Before|Until|While)\b/;

/** Measures the shape of the sources. Functions, identifiers and comments are those of the product, without its tests. */
export function measure(sources: readonly Source[]): Measure[] {
  const code = sources.filter(({ path }) => !isTestFile(path));
  const product = code.filter(({ path }) => !/^(test|bench|examples|gen)\//.test(path));
  const parsed = product.map(parse);
  const functions = parsed.flatMap(({ functions }) => functions).sort((a, b) => b.lines - a.lines);
  const long = functions.filter(({ lines }) => lines > LONG_FUNCTION_LINES).length;
  const names = parsed.flatMap(({ names }) => names);
  const comments = parsed.flatMap(({ comments }) => comments);
  const lengths = product.map(({ text }) => text.trimEnd().split('\n').length).sort((a, b) => a - b);
  return [
    ['files', `${product.length}`],
    ['most crowded folder, sources', largest(folderSizes(code))],
    ['most crowded folder, tests', largest(folderSizes(sources.filter(({ path }) => isTestFile(path))))],
    ['files in circles', `${circlesOf(fileGraph(product)).flat().length}`],
    ['rooms in circles', `${roomCircles(product).flat().length}`],
    [`functions over ${LONG_FUNCTION_LINES} lines`, `${long} (${percent(long, functions.length)})`],
    ['longest function', functions[0] ? `${functions[0].lines} ${functions[0].name}, ${functions[0].path}` : 'none'],
    ['mean identifier length', (names.join('').length / names.length).toFixed(2)],
    ['comments that open with a fragment', percent(comments.filter(isFragment).length, comments.length)],
    ['file lines, median / p90', `${quantile(lengths, 0.5)} / ${quantile(lengths, 0.9)}`],
  ];
}

/** Reports whether a comment opens with a clause instead of a sentence. */
export function isFragment(comment: string): boolean {
  const [sentence = ''] = comment.split(/[.:;](\s|$)/);
  return CLAUSES.test(sentence) || (OPENINGS.test(sentence) && !sentence.includes(','));
}

interface Parsed {
  /** Functions of more than one line. */
  readonly functions: readonly { readonly name: string; readonly path: string; readonly lines: number }[];
  /** Names of declared variables, parameters, functions, types, classes and their members, one for each declaration. */
  readonly names: readonly string[];
  /** Texts of the comments without their marks; adjoining line comments are one. */
  readonly comments: readonly string[];
}

/** Parses one source and collects what is measured. */
export function parse({ path, text }: Source): Parsed {
  const { program, comments, errors } = parseSync(path, text, { lang: path.endsWith('x') ? 'tsx' : 'ts' });
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const functions: Parsed['functions'][number][] = [];
  const names: string[] = [];
  const owners = new Map<number, string>();
  const enterFunction = (node: ESTree.Function | ESTree.ArrowFunctionExpression) => {
    const name = node.id?.name ?? owners.get(node.start) ?? '(anonymous)';
    names.push(...(node.id ? [node.id.name] : []), ...node.params.flatMap(boundNames));
    const lines = text.slice(node.start, node.end).split('\n').length;
    if (node.body && lines > 1) functions.push({ name, path, lines });
  };
  const enterType = ({ id }: { id: ESTree.BindingIdentifier | null }) => id && names.push(id.name);
  const enterMember = ({ key }: { key: { type: string; name?: unknown } }) =>
    key.type === 'Identifier' && names.push(String(key.name));
  const enterSignature = ({ params }: { params: ESTree.ParamPattern[] }) => names.push(...params.flatMap(boundNames));
  const enterMethodSignature = (node: ESTree.TSMethodSignature) => {
    enterMember(node);
    enterSignature(node);
  };
  const enterVariable = ({ id, init }: ESTree.VariableDeclarator) => {
    names.push(...boundNames(id));
    if (init && id.type === 'Identifier') owners.set(init.start, id.name);
  };
  new Visitor({
    VariableDeclarator: enterVariable,
    FunctionDeclaration: enterFunction,
    FunctionExpression: enterFunction,
    ArrowFunctionExpression: enterFunction,
    TSTypeAliasDeclaration: enterType,
    TSInterfaceDeclaration: enterType,
    ClassDeclaration: enterType,
    TSPropertySignature: enterMember,
    PropertyDefinition: enterMember,
    MethodDefinition: enterMember,
    TSMethodSignature: enterMethodSignature,
    TSFunctionType: enterSignature,
  }).visit(program);
  return { functions, names, comments: commentTexts(text, comments) };
}

function boundNames(pattern: ESTree.ParamPattern | ESTree.BindingPattern | null): string[] {
  switch (pattern?.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ObjectPattern':
      return pattern.properties.flatMap((part) => boundNames(part.type === 'RestElement' ? part.argument : part.value));
    case 'ArrayPattern':
      return pattern.elements.flatMap((part) => boundNames(part?.type === 'RestElement' ? part.argument : part));
    case 'AssignmentPattern':
      return boundNames(pattern.left);
    case 'RestElement':
      return boundNames(pattern.argument);
    default:
      return [];
  }
}

interface Comment {
  readonly type: 'Line' | 'Block';
  readonly value: string;
  readonly start: number;
  readonly end: number;
}

function commentTexts(text: string, comments: readonly Comment[]): string[] {
  const texts: string[] = [];
  let previous: Comment | undefined;
  for (const comment of comments) {
    const plain = comment.value.replace(/^[\s*]+/, '').trim();
    const between = previous && text.slice(previous.end, comment.start);
    const continues = comment.type === 'Line' && previous?.type === 'Line' && /^\r?\n[ \t]*$/.test(between ?? '');
    if (continues) texts.push(`${texts.pop()} ${plain}`);
    else texts.push(plain);
    previous = comment;
  }
  return texts.filter((comment) => !/^(biome-ignore|time limit)/.test(comment));
}

function largest(sizes: ReadonlyMap<string, number>): string {
  const [folder, size] = [...sizes].sort((a, b) => b[1] - a[1])[0] ?? ['none', 0];
  return `${size} ${folder}`;
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / whole).toFixed(1)} %`;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.floor(share * (sorted.length - 1))] ?? 0;
}
