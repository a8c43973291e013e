import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';

const checkIntervalMs = 5_000;

/** Calls `reload` at SIGHUP and when the content of the file changes. Returns a function that stops it. */
export function watchConfigFile(file: string | undefined, reload: () => void): () => void {
  const content = () => {
    try {
      return file === undefined ? '' : readFileSync(file, 'utf8');
    } catch {
      // The file is being replaced; if it stays missing, SIGHUP reports that.
      return undefined;
    }
  };
  let previous = content();
  const timer = setInterval(() => {
    // Compares contents instead of modification times, because a mounted ConfigMap is replaced through a symbolic link.
    const current = content();
    if (current === undefined || current === previous) return;
    previous = current;
    reload();
  }, checkIntervalMs);
  timer.unref();
  const onHangUp = () => {
    previous = content();
    reload();
  };
  process.on('SIGHUP', onHangUp);
  return () => {
    clearInterval(timer);
    process.off('SIGHUP', onHangUp);
  };
}

/** Settings whose change needs a restart: their part of the configuration, by variable. */
export type RestartSettings<C> = Readonly<Record<string, (config: C) => unknown>>;

/**
 * Reloads the configuration. An invalid one is rejected as a whole and logged in one line; the result is then undefined. Changes that
 * need a restart are logged and do not prevent the others from taking effect.
 */
export function reloadConfig<C>(
  current: C,
  read: () => C,
  restartSettings: RestartSettings<C>,
  log: Logger,
): C | undefined {
  try {
    const config = read();
    const variables = Object.entries(restartSettings)
      .filter(([, part]) => !isDeepStrictEqual(part(current), part(config)))
      .map(([name]) => name);
    if (variables.length > 0) log.warn({ variables }, 'these settings have changed and need a restart');
    log.info('the configuration was reloaded');
    return config;
  } catch (error) {
    const reason = error instanceof Error ? error.message.replaceAll('\n', '; ') : String(error);
    log.error({ reason }, 'the new configuration is invalid; keeping the previous one');
    return undefined;
  }
}
