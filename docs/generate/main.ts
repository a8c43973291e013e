/** Generates the reference pages from the code: `npm run docs:gen`, also the last step of `npm run gen`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { contentFolder } from '../pages.ts';
import { cliPage } from './cli.ts';
import { configurationPage } from './configuration.ts';
import { errorsPage } from './errors.ts';
import { metricsPage } from './metrics.ts';
import { rpcPages } from './rpc.ts';

/** Returns every generated page by its path in `docs/content`. */
export async function generatedPages(): Promise<Map<string, string>> {
  const pages: [string, string][] = [
    ...rpcPages(),
    ['cli.md', await cliPage()],
    ['configuration.md', configurationPage()],
    ['errors.md', errorsPage()],
    ['metrics.md', metricsPage()],
  ];
  return new Map(pages.map(([name, text]) => [`reference/${name}`, text]));
}

if (import.meta.main) {
  for (const [path, text] of await generatedPages()) writeFileSync(join(contentFolder, path), text);
}
