import { randomUUID } from 'node:crypto';
import { Option } from 'commander';
import { toDuration } from '../../../contract/duration.ts';
import { kindName } from '../../../contract/object-key.ts';
import { type Diagnostic, DiagnosticSchema, DiagnosticState } from '../../../gen/brokkr/v1/diagnostic_pb.ts';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';
import { printDiagnostic } from '../../format/diagnostic.ts';
import { shortDuration } from '../../format/duration.ts';
import { ageText } from '../../format/enum-labels.ts';
import { parseDuration } from '../../options/duration.ts';
import { Failure } from '../../output/failure.ts';
import { printOne, sanitize } from '../../output/output.ts';
import type { Session } from '../../session/session.ts';
import { findAgent } from '../agent/agent.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const defaultTimeoutMs = 60_000;

export const verbs: VerbDefinitions = {
  diagnose: (command) =>
    command
      .argument('<stack>')
      .argument('<agent>')
      .option('--object <object>', 'only this object of the stack: KIND/NAME, or KIND/NAMESPACE/NAME')
      .option('--yaml', 'print the live objects too, without the values of Secrets')
      .addOption(
        new Option('--timeout <duration>', 'to wait for the answer')
          .default(defaultTimeoutMs, '60s')
          .argParser(parseDuration),
      )
      .addHelpText('after', '\n-o json and -o yaml print everything that the agent found.')
      .action(withSession(diagnose)),
};

interface Options {
  readonly object?: string;
  readonly yaml?: boolean;
  readonly timeout: number;
}

async function diagnose(session: Session, stack: string, agent: string, options: Options): Promise<void> {
  const { broker, out } = session;
  const object = options.object === undefined ? undefined : await findObject(session, stack, options.object);
  const { diagnostic } = await broker.requestDiagnostic({ requestId: randomUUID(), stack, agent, object });
  const answered = await waitForAnswer(session, diagnostic!, options.timeout);
  if (answered.state === DiagnosticState.FAILED)
    throw new Failure(`agent ${answered.agent} could not look: ${sanitize(answered.message)}`);
  printOne(out, { schema: DiagnosticSchema, name: ({ id }) => id }, answered, () =>
    printDiagnostic(out, answered, { yaml: options.yaml ?? false }),
  );
}

/** One call waits at most so long: a broker that is restarted meanwhile is asked again. */
const maxWaitMs = 10_000;

async function waitForAnswer(session: Session, asked: Diagnostic, timeoutMs: number): Promise<Diagnostic> {
  const deadline = Date.now() + timeoutMs;
  for (let latest = asked; ; ) {
    if (latest.state === DiagnosticState.DONE || latest.state === DiagnosticState.FAILED) return latest;
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) throw await unansweredFailure(session, latest, timeoutMs);
    const wait = toDuration(Math.min(leftMs, maxWaitMs));
    latest = (await session.broker.getDiagnostic({ id: asked.id, wait })).diagnostic!;
  }
}

async function unansweredFailure(
  session: Session,
  { agent, stack, state }: Diagnostic,
  timeoutMs: number,
): Promise<Failure> {
  const said = `no answer within ${shortDuration(timeoutMs)}`;
  const { online, paused, lastHeartbeatTime } = await findAgent(session, agent);
  if (!online) {
    const seen = lastHeartbeatTime ? `last heard of ${ageText(lastHeartbeatTime)} ago` : 'it has never started';
    return new Failure(`${said}: agent ${agent} is offline (${seen})`, {
      hint: `ask: brokkr explain ${stack} ${agent}`,
    });
  }
  const doing = state === DiagnosticState.CLAIMED ? 'is still looking' : 'has not taken the question yet';
  return new Failure(`${said}: agent ${agent} ${doing}${paused ? '; it is paused' : ''}`, {
    hint: 'give it more time with --timeout',
  });
}

/** An object of the stack's current deployment, by the words that people use. */
async function findObject({ broker }: Session, stack: string, text: string): Promise<ObjectRef> {
  const { objects } = await broker.getDeployment({ stack });
  const found = objects.filter((object) => matchesName(object, text));
  const [first, ...more] = found;
  if (first && more.length === 0) return first;
  const list = (found.length > 0 ? found : objects).slice(0, maxListedObjects).map((object) => nameOf(object));
  if (first)
    throw new Failure(`several objects are ${text}: ${list.join(', ')}`, { hint: 'name one of these', exitCode: 2 });
  throw new Failure(`there is no ${text} in stack ${stack}`, {
    hint: list.length === 0 ? undefined : `there are: ${list.join(', ')}${objects.length > list.length ? ', …' : ''}`,
  });
}

const maxListedObjects = 10;

/** "Deployment/web", with its group "apps/Deployment/web", and each with the namespace before the name. */
function matchesName({ apiVersion, kind, namespace, name }: ObjectRef, text: string): boolean {
  const kinds = [kind, kindName({ apiVersion, kind })];
  const names = [name, `${namespace}/${name}`];
  return kinds.some((of) => names.some((what) => `${of}/${what}`.toLowerCase() === text.toLowerCase()));
}

function nameOf({ kind, namespace, name }: ObjectRef): string {
  return sanitize([kind, namespace, name].filter((part) => part !== '').join('/'));
}
