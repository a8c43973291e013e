import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';

const checkIntervalMs = 5_000;

/** Calls `reload` at SIGHUP, and when the file's content has changed. Returns how to stop. */
export function watchConfigFile(file: string | undefined, reload: () => void): () => void {
  const content = () => {
    try {
      return file === undefined ? '' : readFileSync(file, 'utf8');
    } catch {
      // In the middle of being replaced; what stays away is told at SIGHUP.
      return undefined;
    }
  };
  let last = content();
  const timer = setInterval(() => {
    // Contents are compared, not times: a mounted ConfigMap is swapped by a symbolic link.
    const now = content();
    if (now === undefined || now === last) return;
    last = now;
    reload();
  }, checkIntervalMs);
  timer.unref();
  const hangUp = () => {
    last = content();
    reload();
  };
  process.on('SIGHUP', hangUp);
  return () => {
    clearInterval(timer);
    process.off('SIGHUP', hangUp);
  };
}

/** What a change of needs a restart: by variable, its part of the configuration. */
export type RestartSettings<C> = Readonly<Record<string, (config: C) => unknown>>;

/**
 * Reads the configuration again. One that cannot be used is refused as a whole, in one line: undefined. What needs a restart is said,
 * and does not keep the rest from being used.
 */
export function reloadConfig<C>(current: C, read: () => C, fixed: RestartSettings<C>, log: Logger): C | undefined {
  try {
    const config = read();
    const variables = Object.entries(fixed)
      .filter(([, part]) => !isDeepStrictEqual(part(current), part(config)))
      .map(([name]) => name);
    if (variables.length > 0) log.warn({ variables }, 'these settings have changed and need a restart');
    log.info('the configuration was read again');
    return config;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll('\n', '; ') : String(error);
    log.error({ reason }, 'the new configuration cannot be used; the old one stays');
    return undefined;
  }
}
