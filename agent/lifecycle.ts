import type { Logger } from 'pino';
import type { Connectivity } from './observability/connectivity.ts';

/** The way an agent ended: `fenced` when another one has started with its key, `deposed` when it could not go on leading. */
export type Ending = 'closed' | 'fenced' | 'deposed';

/** Decides when an agent ends. The only place that knows whether another agent may act in its stead. */
export interface Lifecycle {
  /** Ends the agent without delay, because another one runs with its key. */
  fenced(reason: string): void;
  /** Ends the agent without delay, because its lease could not be renewed. */
  deposed(): void;
  /** Ends the agent; may be called again. */
  close(): Promise<void>;
  /** False once another agent may act: passes and reports are then not finished. */
  readonly mayFinish: boolean;
  /** Settles when the agent has ended; never rejects. */
  readonly ended: Promise<Ending>;
}

export interface LifecycleOptions {
  /** Closes everything that the agent has opened. */
  readonly dispose: () => Promise<void>;
  readonly connectivity: Pick<Connectivity, 'brokerFailed'>;
  readonly log: Logger;
}

export function createLifecycle({ dispose, connectivity, log }: LifecycleOptions): Lifecycle {
  let reason: Ending = 'closed';
  let ending: Promise<void> | undefined;
  const ended = Promise.withResolvers<Ending>();
  const close = () => {
    ending ??= dispose().finally(() => ended.resolve(reason));
    return ending;
  };
  return {
    fenced(message) {
      if (reason !== 'closed') return;
      reason = 'fenced';
      log.error({ reason: message }, 'fenced: another agent runs with this key; this one stops');
      connectivity.brokerFailed('another agent runs with this key');
      void close();
    },
    deposed() {
      if (reason !== 'closed') return;
      reason = 'deposed';
      log.error({}, 'the lease could not be renewed: another agent may lead soon; this one stops');
      void close();
    },
    close,
    get mayFinish() {
      return reason === 'closed';
    },
    ended: ended.promise,
  };
}
