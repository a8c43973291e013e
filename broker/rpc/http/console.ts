import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { Handler } from './port.ts';
import { sendText } from './send-text.ts';

/** The files of the built console, by URL path. */
export type ConsoleFiles = ReadonlyMap<string, ConsoleFile>;

interface ConsoleFile {
  readonly type: string;
  readonly etag: string;
  readonly plain: Buffer;
  /** Undefined when the file's format is compressed already. */
  readonly gzip: Buffer | undefined;
  /** True when the file's name contains a hash of its content. */
  readonly hashed: boolean;
}

/** The folder that `npm run console` builds into. */
export const builtConsole = resolve(import.meta.dirname, '../../../console/dist');

const contentTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};
const precompressed = new Set(['.woff2']);
const indexPage = '/index.html';

/** Reads a built console into memory; empty when there is none. No other file of the disk is ever served. */
export function readConsole(folder: string): ConsoleFiles {
  const files = new Map<string, ConsoleFile>();
  for (const path of pathsBelow(folder)) {
    const extension = extname(path);
    const type = contentTypes[extension];
    if (type === undefined) continue;
    const plain = readFileSync(join(folder, path));
    files.set(`/${path.replaceAll('\\', '/')}`, {
      type,
      etag: `"${createHash('sha256').update(plain).digest('base64url').slice(0, 22)}"`,
      plain,
      gzip: precompressed.has(extension) ? undefined : gzipSync(plain),
      hashed: /^assets[\\/]/.test(path),
    });
  }
  return files;
}

function pathsBelow(folder: string): string[] {
  try {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The page loads only its own files, calls only its own broker, and runs nothing inline. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

const securityHeaders = {
  'content-security-policy': contentSecurityPolicy,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
} as const;

/** Serves the console on paths that no RPC and no probe has: its files, and its page for view paths, which contain no dot. */
export function consoleHandler(files: ConsoleFiles): Handler {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0] ?? '';
    const reads = request.method === 'GET' || request.method === 'HEAD';
    const isView = path === '/' || (/^\/[\w/-]+$/.test(path) && request.headers.accept?.includes('text/html') === true);
    if (!reads || !(isView || files.has(path))) return sendText(response, 404, 'not found');
    const file = files.get(isView ? indexPage : path);
    if (!file)
      return sendText(
        response,
        200,
        'The console is not built here. Build it with: npm run console, then start again.',
      );
    for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
    response.setHeader('cache-control', file.hashed ? 'public, max-age=31536000, immutable' : 'no-store');
    response.setHeader('etag', file.etag);
    response.setHeader('vary', 'accept-encoding');
    if (request.headers['if-none-match'] === file.etag) {
      response.statusCode = 304;
      response.end();
      return;
    }
    const gzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? '')) ? file.gzip : undefined;
    if (gzip) response.setHeader('content-encoding', 'gzip');
    const body = gzip ?? file.plain;
    response.setHeader('content-type', file.type);
    response.setHeader('content-length', body.length);
    response.statusCode = 200;
    response.end(request.method === 'HEAD' ? '' : body);
  };
}
