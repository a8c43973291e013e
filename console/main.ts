/** `npm run console` builds the console. With `--dev [BROKER_URL]` it serves the sources and proxies calls to a broker. */
import { resolve } from 'node:path';
import { buildConsole, viteConfig } from './build.ts';

const [option, broker = 'http://127.0.0.1:3000'] = process.argv.slice(2);

if (option === '--dev') {
  const { createServer } = await import('vite');
  const server = await createServer({
    ...viteConfig,
    logLevel: 'info',
    server: { fs: { allow: [resolve(import.meta.dirname, '..')] }, proxy: { '^/brokkr\\.v1\\.': broker } },
  });
  await server.listen();
  server.printUrls();
} else {
  const began = performance.now();
  const built = await buildConsole();
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  process.stdout.write(
    built
      ? `The console was built in ${seconds} s. A broker that starts now serves it.\n`
      : 'The console is up to date.\n',
  );
}
