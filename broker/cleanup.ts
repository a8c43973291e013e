import type { Logger } from 'pino';

/** Takes over a part, which is closed with the broker, and returns it. */
export type Own = <P extends { close(): unknown }>(name: string, part: P) => P;

/** Time that each part has to close. */
const closeTimeoutMs = 5_000;

/** Creates the function that adds parts to a stack: they close one after the other, the last one first. */
export function ownBy(stack: AsyncDisposableStack, log: Logger): Own {
  return (name, part) => {
    stack.defer(() => closeInTime(name, part.close(), log));
    return part;
  };
}

/** Gives up on a part that does not close in time, so that it does not keep the others open; it ends with the process. */
async function closeInTime(part: string, closing: unknown, log: Logger): Promise<void> {
  const timeout = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    log.warn({ part }, 'a part of the broker did not close in time');
    timeout.resolve();
  }, closeTimeoutMs);
  await Promise.race([closing, timeout.promise]).finally(() => clearTimeout(timer));
}
