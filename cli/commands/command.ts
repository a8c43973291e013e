import type { Command } from 'commander';
import type { Session } from '../session/session.ts';
import type { GlobalOptions } from '../session/settings.ts';

export type Verb =
  | 'agent'
  | 'annotate'
  | 'apply'
  | 'audit'
  | 'completion'
  | 'confirm-removal'
  | 'context'
  | 'create'
  | 'delete'
  | 'deregister'
  | 'describe'
  | 'diagnose'
  | 'diff'
  | 'events'
  | 'explain'
  | 'forget-removal'
  | 'get'
  | 'install'
  | 'label'
  | 'login'
  | 'logout'
  | 'logs'
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
export type DefineCommand = (command: Command) => void;

/** What a noun's module exports. */
export type VerbDefinitions = Readonly<Partial<Record<Verb, DefineCommand>>>;

/** An action with a session that is closed whatever happens; it gets the command's arguments, then its options. */
export function withSession<A extends readonly unknown[]>(
  work: (session: Session, ...args: A) => Promise<void>,
): (...args: [...A, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command;
    const { openSession } = await import('../session/session.ts');
    const { beginTrace } = await import('../session/trace.ts');
    const options = command.optsWithGlobals<GlobalOptions & { watch?: boolean }>();
    const trace = await beginTrace(command.name());
    let failed = true;
    try {
      const session = openSession(options, trace?.interceptor);
      const once = (asked: Session) => work(asked, ...(all.slice(0, -1) as unknown as A));
      try {
        if (!options.watch) await once(session);
        else await (await import('../stream/watch-loop.ts')).runRepeatedly(session, once);
        failed = false;
      } finally {
        session.close();
      }
    } finally {
      await trace?.end(failed);
    }
  };
}
