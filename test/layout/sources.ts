import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';

/** One source file, as the layout rules see it. */
export interface Source {
  /** Relative to the root, with forward slashes. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly Import[];
}

export interface Import {
  /** A file of ours, relative to the root, or a package's name as written. */
  readonly target: string;
  /** True if the import is erased before the code runs, so that it binds no code to other code. */
  readonly typeOnly: boolean;
  readonly line: number;
}

const EXCLUDED_FOLDERS = new Set(['node_modules', 'gen', '.cache', '.git', '.brokkr', 'dist']);

/** Reads every TypeScript file of the project below `root`, without generated ones. */
export function readSources(root: string): Source[] {
  return findFolders(root).flatMap((folder) =>
    readdirSync(join(root, folder), { withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map((entry) => posix.join(folder, entry.name))
      .map((path) => toSource(path, readFileSync(join(root, path), 'utf8'))),
  );
}

/** Lists every folder of the project, relative to `root`, which is itself ''. */
export function findFolders(root: string, folder = ''): string[] {
  const inner = readdirSync(join(root, folder), { withFileTypes: true }).filter(
    (entry) => entry.isDirectory() && !EXCLUDED_FOLDERS.has(entry.name),
  );
  return [
    folder,
    ...inner.flatMap(({ name }) => findFolders(root, relative(root, join(root, folder, name)).replaceAll('\\', '/'))),
  ];
}

export function toSource(path: string, text: string): Source {
  return { path, text, imports: parseImports(path, text) };
}

function parseImports(path: string, text: string): Import[] {
  const statements = text.matchAll(
    /^(?:import|export)\b(?:([^;'"=]*?)\sfrom)?\s+['"]([^'"]+)['"]|\bimport\('([^']+)'\)/gm,
  );
  return [...statements].map(({ 0: whole, 1: clause = '', 2: fixed, 3: dynamic, index }) => {
    const target = fixed ?? dynamic ?? '';
    return {
      target: target.startsWith('.') ? posix.join(dirname(path), target) : target,
      typeOnly: /^\s*type\b/.test(clause) || namesOnlyTypes(clause) || /typeof $/.test(text.slice(index - 7, index)),
      // The first line of the statement, where a reader looks.
      line: text.slice(0, index).split('\n').length + (whole.startsWith('\n') ? 1 : 0),
    };
  });
}

/** Recognises `{ type A, type B }`. */
function namesOnlyTypes(clause: string): boolean {
  const names = /^\s*\{([^}]*)\}\s*$/
    .exec(clause)?.[1]
    ?.split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  return names !== undefined && names.length > 0 && names.every((name) => name.startsWith('type '));
}
