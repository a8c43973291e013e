import { randomUUID } from 'node:crypto';
import { Option } from 'commander';
import { toDuration } from '../../../contract/duration.ts';
import { kindName } from '../../../contract/object-key.ts';
import { type Diagnostic, DiagnosticSchema, DiagnosticState } from '../../../gen/brokkr/v1/diagnostic_pb.ts';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';
import { printDiagnostic } from '../../format/diagnostic.ts';
import { shortDuration } from '../../format/duration.ts';
import { ageText } from '../../format/enum-labels.ts';
import { addSelectionOptions, type ChoiceOptions, chooseNames } from '../../options/choice.ts';
import { parseDuration } from '../../options/duration.ts';
import { Failure } from '../../output/failure.ts';
import { sanitize } from '../../output/sanitize.ts';
import { printEach, type View } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { findAgent, listAgents } from '../agent/agent.ts';
import { type VerbDefinitions, withSession } from '../command.ts';
import { actOnEach } from '../many.ts';

const defaultTimeoutMs = 60_000;

export const verbs: VerbDefinitions = {
  diagnose: (command) =>
    addSelectionOptions(
      command
        .argument('<stack>')
        .argument('[agents...]', 'left out with --selector or --all')
        .option('--object <object>', 'only this object of the stack: KIND/NAME or KIND/NAMESPACE/NAME')
        .option('--yaml', 'also print the live objects, without values of Secrets')
        .addOption(
          new Option('--timeout <duration>', 'maximum time to wait for the answer')
            .default(defaultTimeoutMs, '60s')
            .argParser(parseDuration),
        ),
      'agent that serves the stack',
    )
      .addHelpText('after', '\n-o json and -o yaml print the complete result.')
      .action(withSession(diagnose)),
};

interface Options {
  readonly object?: string;
  readonly yaml?: boolean;
  readonly timeout: number;
}

async function diagnose(
  session: Session,
  stack: string,
  agents: readonly string[],
  options: Options & ChoiceOptions,
): Promise<void> {
  const { output } = session;
  const names = await chooseAgents(session, stack, agents, options);
  const object = options.object === undefined ? undefined : await findObject(session, stack, options.object);
  await actOnEach(
    output,
    'agent',
    names,
    (agent) => diagnoseOn(session, { stack, agent, object }, options.timeout),
    (diagnostics) => {
      if (output.format !== 'table') printEach(output, diagnosticView, diagnostics, () => '');
      else
        for (const [index, diagnostic] of diagnostics.entries()) {
          if (index > 0) output.line('');
          printDiagnostic(output, diagnostic, { yaml: options.yaml ?? false });
        }
    },
  );
}

const diagnosticView: View<typeof DiagnosticSchema> = {
  schema: DiagnosticSchema,
  listField: 'diagnostics',
  name: ({ id }) => id,
  columns: [],
};

/** Returns the agents that are named, or those of the stack's agents that `--selector` or `--all` choose. */
async function chooseAgents(
  session: Session,
  stack: string,
  names: readonly string[],
  options: ChoiceOptions,
): Promise<readonly string[]> {
  // Nothing is changed, so nothing is asked.
  return chooseNames(
    names,
    { ...options, yes: true },
    {
      noun: 'agent',
      question: 'Diagnose on',
      list: async () => {
        const [agents, placements] = await Promise.all([
          listAgents(session),
          allPages(
            (page) => session.broker.listPlacements({ stack, ...page }),
            (page) => page.placements,
          ),
        ]);
        const serving = new Set(placements.map(({ agentId }) => agentId));
        return agents.filter(({ id }) => serving.has(id));
      },
    },
  );
}

async function diagnoseOn(
  session: Session,
  request: { readonly stack: string; readonly agent: string; readonly object: ObjectRef | undefined },
  timeoutMs: number,
): Promise<Diagnostic> {
  const { diagnostic } = await session.broker.requestDiagnostic({ requestId: randomUUID(), ...request });
  const answered = await waitForAnswer(session, diagnostic!, timeoutMs);
  if (answered.state === DiagnosticState.FAILED)
    throw new Failure(`agent ${answered.agent} could not collect diagnostics: ${sanitize(answered.message)}`);
  return answered;
}

/** Maximum wait of one call, so that a restart of the broker is noticed. */
const maxWaitMs = 10_000;

async function waitForAnswer(session: Session, diagnostic: Diagnostic, timeoutMs: number): Promise<Diagnostic> {
  const deadline = Date.now() + timeoutMs;
  for (let latest = diagnostic; ; ) {
    if (latest.state === DiagnosticState.DONE || latest.state === DiagnosticState.FAILED) return latest;
    const leftMs = deadline - Date.now();
    if (leftMs <= 0) throw await unansweredFailure(session, latest, timeoutMs);
    const wait = toDuration(Math.min(leftMs, maxWaitMs));
    latest = (await session.broker.getDiagnostic({ id: diagnostic.id, wait })).diagnostic!;
  }
}

async function unansweredFailure(
  session: Session,
  { agent, stack, state }: Diagnostic,
  timeoutMs: number,
): Promise<Failure> {
  const summary = `no answer within ${shortDuration(timeoutMs)}`;
  const { online, paused, lastHeartbeatTime } = await findAgent(session, agent);
  if (!online) {
    const seen = lastHeartbeatTime ? `last heartbeat ${ageText(lastHeartbeatTime)} ago` : 'it has never started';
    return new Failure(`${summary}: agent ${agent} is offline (${seen})`, {
      hint: `for details: brokkr explain ${stack} ${agent}`,
    });
  }
  const progress = state === DiagnosticState.CLAIMED ? 'is still collecting' : 'has not picked up the request yet';
  return new Failure(`${summary}: agent ${agent} ${progress}${paused ? '; it is paused' : ''}`, {
    hint: 'allow more time with --timeout',
  });
}

/** Finds an object of the stack's current deployment by kind and name. Throws a Failure unless exactly one matches. */
async function findObject({ broker }: Session, stack: string, text: string): Promise<ObjectRef> {
  const { objects } = await broker.getDeployment({ stack });
  const matches = objects.filter((object) => matchesName(object, text));
  const [first, ...more] = matches;
  if (first && more.length === 0) return first;
  const list = (matches.length > 0 ? matches : objects).slice(0, maxListedObjects).map((object) => nameOf(object));
  if (first)
    throw new Failure(`${text} matches several objects: ${list.join(', ')}`, {
      hint: 'specify one of these',
      exitCode: 2,
    });
  throw new Failure(`stack ${stack} has no object ${text}`, {
    hint: list.length === 0 ? undefined : `its objects: ${list.join(', ')}${objects.length > list.length ? ', …' : ''}`,
  });
}

const maxListedObjects = 10;

/** Matches "Deployment/web" or "apps/Deployment/web", each optionally with the namespace before the name; ignores case. */
function matchesName({ apiVersion, kind, namespace, name }: ObjectRef, text: string): boolean {
  const kinds = [kind, kindName({ apiVersion, kind })];
  const names = [name, `${namespace}/${name}`];
  return kinds.some((kindText) =>
    names.some((nameText) => `${kindText}/${nameText}`.toLowerCase() === text.toLowerCase()),
  );
}

function nameOf({ kind, namespace, name }: ObjectRef): string {
  return sanitize([kind, namespace, name].filter((part) => part !== '').join('/'));
}
