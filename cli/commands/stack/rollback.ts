import { randomUUID } from 'node:crypto';
import { deploymentView } from '../../format/deployment.ts';
import { integerBetween } from '../../options/numbers.ts';
import { printOne } from '../../output/view.ts';
import type { Session } from '../../session/session.ts';
import { waitUntil } from '../../stream/wait.ts';
import { type WaitOptions, waitOptions } from '../../stream/wait-options.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  rollback: (command) =>
    waitOptions(command)
      .argument('<stack>')
      .option('--revision <number>', 'revision to restore (default: the one before the current)', integerBetween(1))
      .option('--message <text>', 'reason for the change')
      .action(withSession(rollback)),
};

interface RollbackOptions extends WaitOptions {
  readonly revision?: number;
  readonly message?: string;
}

async function rollback(session: Session, stack: string, options: RollbackOptions): Promise<void> {
  const { broker, output } = session;
  const { revision, message, wait, timeout } = options;
  const response = await broker.rollbackStack({ requestId: randomUUID(), stack, revision, message });
  const deployment = response.deployment!;
  if (wait) await waitUntil(wait, session, deployment, timeout);
  printOne(output, deploymentView, deployment, () => {
    const source = deployment.rollbackOf > 0 ? `with the objects of revision ${deployment.rollbackOf} ` : '';
    const outcome = response.unchanged ? 'is already current' : `${source}is current`;
    output.line(`stack ${deployment.stack}: revision ${deployment.revision} ${outcome}`);
  });
}
