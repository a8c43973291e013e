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

/** The verbs that a noun's module exports, each with the function that adds the noun to its command. */
export type VerbDefinitions = Readonly<Partial<Record<Verb, DefineCommand>>>;

/**
 * Wraps a command's action so that it runs with a session, which is closed afterwards, and within a trace when traces are
 * enabled. The action receives the session, the command's arguments and its options. With --watch it runs repeatedly.
 */
export function withSession<A extends readonly unknown[]>(
  action: (session: Session, ...args: A) => Promise<void>,
): (...args: [...A, Command]) => Promise<void> {
  return async (...commanderArgs) => {
    const command = commanderArgs.at(-1) as Command;
    const args = commanderArgs.slice(0, -1) as unknown as A;
    const { openSession } = await import('../session/session.ts');
    const { beginTrace } = await import('../session/trace.ts');
    const options = command.optsWithGlobals<GlobalOptions & { watch?: boolean }>();
    const trace = await beginTrace(command.name());
    let failed = true;
    try {
      const session = openSession(options, trace?.interceptor);
      const runOnce = (runSession: Session) => action(runSession, ...args);
      try {
        if (!options.watch) await runOnce(session);
        else await (await import('../stream/watch-loop.ts')).runRepeatedly(session, runOnce);
        failed = false;
      } finally {
        session.close();
      }
    } finally {
      await trace?.end(failed);
    }
  };
}
