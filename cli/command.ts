import type { Command } from 'commander';
import type { Session } from './session.ts';
import type { Globals } from './settings.ts';

export type Verb =
  | 'annotate'
  | 'apply'
  | 'audit'
  | 'confirm-removal'
  | 'context'
  | 'create'
  | 'delete'
  | 'deregister'
  | 'describe'
  | 'diagnose'
  | 'explain'
  | 'forget-removal'
  | 'get'
  | 'label'
  | 'login'
  | 'logout'
  | 'pause'
  | 'rebind'
  | 'register'
  | 'resume'
  | 'revoke'
  | 'rollback'
  | 'rotate'
  | 'status'
  | 'target'
  | 'untarget'
  | 'update'
  | 'watch'
  | 'whoami';

/** Adds a noun's arguments, options and action to a verb's command. */
export type Define = (command: Command) => void;

/** What a noun's module exports. */
export type Verbs = Readonly<Partial<Record<Verb, Define>>>;

/** An action with a session that is closed whatever happens; it gets the command's arguments, then its options. */
export function withSession<A extends readonly unknown[]>(
  work: (session: Session, ...args: A) => Promise<void>,
): (...args: [...A, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const { openSession } = await import('./session.ts');
    const { beginTrace } = await import('./trace.ts');
    const trace = await beginTrace(command.name());
    let failed = true;
    try {
      const session = openSession(command.optsWithGlobals<Globals>(), trace?.interceptor);
      try {
        await work(session, ...(all.slice(0, -1) as unknown as A));
        failed = false;
      } finally {
        session.close();
      }
    } finally {
      await trace?.end(failed);
    }
  };
}

/** For an option that may be given several times. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}
