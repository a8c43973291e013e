import { basename, dirname, join, resolve } from 'node:path';
import { type OutputChunk, type Plugin, rolldown } from 'rolldown';

/** What becomes one file of a release. */
export interface Program {
  /** Where its source begins, from the root of the repository. */
  readonly source: string;
  /** The file's name, without `.js`. */
  readonly name: string;
  /** What it imports only when it is needed stays in files of its own, NAME-*.js: too much to hold in memory for nothing. */
  readonly split?: true;
}

const root = resolve(import.meta.dirname, '..');

/**
 * Bundles a program with all that it imports into `folder`, the worker threads that it starts into files of their own beside it.
 * Answers the folders of the packages that have become part of them. Rejects when something cannot be found.
 */
export async function bundleProgram({ source, name, split }: Program, folder: string): Promise<Set<string>> {
  const threads = new Map<string, Program>();
  const build = await rolldown({
    input: { [name]: join(root, source) },
    cwd: root,
    platform: 'node',
    plugins: [findThreads(threads), moveConsole()],
    // Finds files of entities for the ORM, to which ours are listed.
    external: ['tinyglobby'],
    // Packages look beside themselves for files: that is beside the bundle.
    transform: { define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' } },
    onLog(level, log) {
      if (level === 'warn') throw new Error(`${name}: ${log.message}`);
    },
  });
  try {
    const { output } = await build.write({
      dir: folder,
      format: 'esm',
      entryFileNames: '[name].js',
      chunkFileNames: `${name}-[name].js`,
      codeSplitting: split === true,
    });
    const modules = output
      .filter((part): part is OutputChunk => part.type === 'chunk')
      .flatMap(({ moduleIds }) => moduleIds);
    const packages = new Set(modules.flatMap((id) => packageOf(id) ?? []));
    for (const thread of threads.values()) for (const one of await bundleProgram(thread, folder)) packages.add(one);
    return packages;
  } finally {
    await build.close();
  }
}

/** Notes the worker threads that sources start, and has each started from the file that it becomes. */
function findThreads(threads: Map<string, Program>): Plugin {
  const started = /(new Worker\(new URL\()'(\.[^']+)\.ts'/g;
  return {
    name: 'threads',
    transform(code, id) {
      if (!id.endsWith('.ts')) return null;
      return code.replaceAll(started, (_, before: string, path: string) => {
        const name = basename(path);
        threads.set(name, { name, source: resolve(dirname(id), `${path}.ts`).slice(root.length + 1) });
        return `${before}'./${name}.js'`;
      });
    },
  };
}

/** The folder of the built console, which the broker knows from where its own source is: in a release it is beside the program. */
export const consoleFolder = { built: 'console/dist', released: 'console' } as const;

function moveConsole(): Plugin {
  const { built, released } = consoleFolder;
  const named = new RegExp(`(import\\.meta\\.dirname, )'[./]*/${built}'`, 'g');
  return {
    name: 'console',
    transform: (code, id) => (id.endsWith('.ts') ? code.replace(named, `$1'${released}'`) : null),
  };
}

/** The folder of the package that a module belongs to; undefined for a module of ours. */
function packageOf(id: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0];
}
