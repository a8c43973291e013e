import { once } from 'node:events';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import { type Command, InvalidArgumentError } from 'commander';
import type { ObjectRef } from '../../../gen/brokkr/v1/object_pb.ts';
import { TelemetryKind, type TelemetryRecord } from '../../../gen/brokkr/v1/telemetry_pb.ts';
import { printRecord } from '../../format/telemetry.ts';
import { parsePast } from '../../options/duration.ts';
import { integerBetween } from '../../options/numbers.ts';
import { allPages, eachPage } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { followTelemetry, reconnectingMessage } from '../../stream/follow.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  logs: (command) =>
    recordOptions(command, 'lines')
      .option('-n, --namespace <namespace>', 'only of pods in this one')
      .option('--pod <pod>', 'only of this pod')
      .option('--container <container>', 'only of this container')
      .option('--timestamps', 'with the time at which each line was written')
      .addHelpText(
        'after',
        '\nOf pods with the annotation brokkr.io/stream-logs: "true", as long as lines are kept. -o json: a line each.',
      )
      .action(
        withSession(async (session, stack: string, options: LogOptions) => {
          const { agent, namespace, pod, container, timestamps = false } = options;
          const wish = { stack, agent, namespace, pod, container };
          await showRecords(session, options, {
            list: (page) => session.broker.listPodLogs({ ...wish, ...page }),
            follow: { ...wish, kinds: [TelemetryKind.POD_LOGS] },
            timestamps,
            emptyHints: [
              '  lines come from pods with the annotation brokkr.io/stream-logs: "true", in a Deployment that of its pod template',
              '  an agent with BROKKR_TELEMETRY=off or =events sends none, and the simulated cluster of npm start runs no pods',
            ],
          });
        }),
      ),

  events: (command) =>
    recordOptions(command, 'events')
      .option('--object <object>', 'only about this object: KIND/NAME, or KIND/NAMESPACE/NAME', parseObject)
      .option('--warnings', 'only those of type Warning')
      .addHelpText(
        'after',
        '\nWhat Kubernetes tells about the objects of a stack and what belongs to them. What agents report about their work is\nanother thing: brokkr get events. -o json: a line each.',
      )
      .action(
        withSession(async (session, stack: string, options: EventOptions) => {
          const { agent, object, warnings } = options;
          const wish = { stack, agent, object, ...(warnings && { type: 'Warning' }) };
          await showRecords(session, options, {
            list: (page) => session.broker.listKubernetesEvents({ ...wish, ...page }),
            follow: { ...wish, kinds: [TelemetryKind.KUBERNETES_EVENTS] },
            timestamps: true,
            emptyHints: ['  an agent with BROKKR_TELEMETRY=off sends none'],
          });
        }),
      ),
};

interface CommonOptions {
  readonly agent?: string;
  readonly follow?: boolean;
  readonly since?: number;
  readonly tail?: number;
}

interface LogOptions extends CommonOptions {
  readonly namespace?: string;
  readonly pod?: string;
  readonly container?: string;
  readonly timestamps?: boolean;
}

interface EventOptions extends CommonOptions {
  readonly object?: Pick<ObjectRef, 'kind' | 'namespace' | 'name'>;
  readonly warnings?: boolean;
}

function recordOptions(command: Command, noun: string): Command {
  return command
    .argument('<stack>')
    .option('-f, --follow', `go on with new ${noun} as they come, until Ctrl-C`)
    .option('--agent <agent>', "only of this agent's cluster")
    .option(
      '--since <when>',
      'not before, such as 10m (ago) or 2027-01-31T12:00:00Z (default: all that is kept)',
      parsePast,
    )
    .option(
      '--tail <count>',
      `at most so many ${noun} of before, the last (default: all; with -f, 1000)`,
      integerBetween(0, 999_999),
    );
}

interface RecordQuery {
  readonly list: (page: {
    pageSize: number;
    pageToken: string;
    oldestFirst: boolean;
    startTime: ReturnType<typeof timestampFromMs> | undefined;
  }) => Promise<{ records: TelemetryRecord[]; nextPageToken: string }>;
  readonly follow: Parameters<typeof followTelemetry>[1];
  readonly timestamps: boolean;
  /** What to say where there is nothing. */
  readonly emptyHints: readonly string[];
}

async function showRecords(session: Session, { follow, since, tail }: CommonOptions, what: RecordQuery): Promise<void> {
  const print = async (records: readonly TelemetryRecord[]) => {
    for (const record of records) printRecord(session.out, record, what);
    // A slow reader must not make the rest wait in memory.
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
  };
  const startTime = since === undefined ? undefined : timestampFromMs(since);
  if (follow) {
    const history = { startTime: startTime ?? timestampFromMs(0), historySize: Math.min(tail ?? 0, maxFollowHistory) };
    const wish = { ...what.follow, ...(tail !== 0 && history) };
    const onDisconnect = () => session.out.note(reconnectingMessage);
    for await (const records of followTelemetry(session, wish, { onDisconnect })) await print(records);
    session.out.note('the stack is gone');
    return;
  }
  let found = 0;
  if (tail === undefined) {
    for await (const { records } of eachPage((page) => what.list({ ...page, startTime, oldestFirst: true }))) {
      found += records.length;
      await print(records);
    }
  } else if (tail > 0) {
    const last = await allPages(
      (page) => what.list({ ...page, startTime, oldestFirst: false }),
      ({ records }) => records,
      tail,
    );
    found = last.length;
    await print(last.toReversed());
  }
  if (found === 0 && session.out.format === 'table')
    for (const line of ['there is nothing that is kept', ...what.emptyHints]) session.out.note(line);
}

/** What the broker gives at most before what is new. */
const maxFollowHistory = 5_000;

function parseObject(text: string): Pick<ObjectRef, 'kind' | 'namespace' | 'name'> {
  const parts = text.split('/');
  const [kind = '', ...rest] = parts;
  const [name = '', namespace = ''] = rest.toReversed();
  if (parts.length < 2 || parts.length > 3 || kind === '' || name === '')
    throw new InvalidArgumentError('write it as Pod/web-1 or Pod/shop/web-1.');
  return { kind, namespace, name };
}
