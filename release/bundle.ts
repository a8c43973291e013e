import { basename, dirname, join, resolve } from 'node:path';
import { type OutputChunk, type Plugin, rolldown } from 'rolldown';

/** A program that becomes one file of a release. */
export interface Program {
  /** Entry point, relative to the root of the repository. */
  readonly source: string;
  /** Name of the file, without `.js`. */
  readonly name: string;
  /** Keeps dynamic imports in separate files, NAME-*.js, so that unneeded code is not loaded into memory. */
  readonly split?: true;
}

const root = resolve(import.meta.dirname, '..');

/**
 * Bundles a program with all its imports into `folder`; its worker threads get separate files there. Returns the folders of the bundled
 * packages. Rejects when an import cannot be resolved.
 */
export async function bundleProgram({ source, name, split }: Program, folder: string): Promise<Set<string>> {
  const threads = new Map<string, Program>();
  const build = await rolldown({
    input: { [name]: join(root, source) },
    cwd: root,
    platform: 'node',
    plugins: [findThreads(threads), moveConsole()],
    // The ORM uses it to discover entity files, but ours are listed explicitly.
    external: ['tinyglobby'],
    // Packages look for files beside their own source, which is then the bundle.
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
    for (const thread of threads.values())
      for (const packageFolder of await bundleProgram(thread, folder)) packages.add(packageFolder);
    return packages;
  } finally {
    await build.close();
  }
}

/** Collects the worker threads that sources start and redirects each to its bundled file. */
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

/** Folder of the built console. The broker finds it relative to its source; in a release it is beside the program. */
export const consoleFolder = { built: 'console/dist', released: 'console' } as const;

function moveConsole(): Plugin {
  const { built, released } = consoleFolder;
  const named = new RegExp(`(import\\.meta\\.dirname, )'[./]*/${built}'`, 'g');
  return {
    name: 'console',
    transform: (code, id) => (id.endsWith('.ts') ? code.replace(named, `$1'${released}'`) : null),
  };
}

/** Returns the folder of a module's package; undefined for our own modules. */
function packageOf(id: string): string | undefined {
  return /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0];
}
