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
      .option('-n, --namespace <namespace>', 'only pods in this namespace')
      .option('--pod <pod>', 'only this pod')
      .option('--container <container>', 'only this container')
      .option('--timestamps', 'show when each line was written')
      .addHelpText(
        'after',
        '\nShows the stored lines of pods with the annotation brokkr.io/stream-logs: "true". -o json prints one record per line.',
      )
      .action(
        withSession(async (session, stack: string, options: LogOptions) => {
          const { agent, namespace, pod, container, timestamps = false } = options;
          const filter = { stack, agent, namespace, pod, container };
          await showRecords(session, options, {
            list: (page) => session.broker.listPodLogs({ ...filter, ...page }),
            follow: { ...filter, kinds: [TelemetryKind.POD_LOGS] },
            timestamps,
            emptyHints: [
              '  only pods with the annotation brokkr.io/stream-logs: "true" send lines; in a Deployment, set it in the pod template',
              '  agents with BROKKR_TELEMETRY=off or =events send none, and the simulated cluster of npm start runs no pods',
            ],
          });
        }),
      ),

  events: (command) =>
    recordOptions(command, 'events')
      .option('--object <object>', 'only those of this object: KIND/NAME or KIND/NAMESPACE/NAME', parseObject)
      .option('--warnings', 'only those of type Warning')
      .addHelpText(
        'after',
        "\nShows Kubernetes events of a stack's objects and of the objects that these own. For the events in which agents report\ntheir own work, use: brokkr get events. -o json prints one record per line.",
      )
      .action(
        withSession(async (session, stack: string, options: EventOptions) => {
          const { agent, object, warnings } = options;
          const filter = { stack, agent, object, ...(warnings && { type: 'Warning' }) };
          await showRecords(session, options, {
            list: (page) => session.broker.listKubernetesEvents({ ...filter, ...page }),
            follow: { ...filter, kinds: [TelemetryKind.KUBERNETES_EVENTS] },
            timestamps: true,
            emptyHints: ['  agents with BROKKR_TELEMETRY=off send none'],
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
    .option('-f, --follow', `keep printing new ${noun} until Ctrl-C`)
    .option('--agent <agent>', "only those from this agent's cluster")
    .option(
      '--since <when>',
      'start time, such as 10m (ago) or 2027-01-31T12:00:00Z (default: everything that is stored)',
      parsePast,
    )
    .option(
      '--tail <count>',
      `number of most recent ${noun} to show (default: all; with -f: 1000)`,
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
  /** Notes for an empty result. */
  readonly emptyHints: readonly string[];
}

async function showRecords(
  session: Session,
  { follow, since, tail }: CommonOptions,
  query: RecordQuery,
): Promise<void> {
  const print = async (records: readonly TelemetryRecord[]) => {
    for (const record of records) printRecord(session.output, record, query);
    // Waits for a slow reader, so that the rest does not pile up in memory.
    if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
  };
  const startTime = since === undefined ? undefined : timestampFromMs(since);
  if (follow) {
    const history = { startTime: startTime ?? timestampFromMs(0), historySize: Math.min(tail ?? 0, maxFollowHistory) };
    const filter = { ...query.follow, ...(tail !== 0 && history) };
    const onDisconnect = () => session.output.note(reconnectingMessage);
    for await (const records of followTelemetry(session, filter, { onDisconnect })) await print(records);
    session.output.note('the stack was deleted');
    return;
  }
  let recordCount = 0;
  if (tail === undefined) {
    for await (const { records } of eachPage((page) => query.list({ ...page, startTime, oldestFirst: true }))) {
      recordCount += records.length;
      await print(records);
    }
  } else if (tail > 0) {
    const latest = await allPages(
      (page) => query.list({ ...page, startTime, oldestFirst: false }),
      ({ records }) => records,
      tail,
    );
    recordCount = latest.length;
    await print(latest.toReversed());
  }
  if (recordCount === 0 && session.output.format === 'table')
    for (const line of ['nothing is stored', ...query.emptyHints]) session.output.note(line);
}

/** Maximum history that the broker sends before new records. */
const maxFollowHistory = 5_000;

function parseObject(text: string): Pick<ObjectRef, 'kind' | 'namespace' | 'name'> {
  const parts = text.split('/');
  const [kind = '', ...rest] = parts;
  const [name = '', namespace = ''] = rest.toReversed();
  if (parts.length < 2 || parts.length > 3 || kind === '' || name === '')
    throw new InvalidArgumentError('use KIND/NAME or KIND/NAMESPACE/NAME, such as Pod/web-1.');
  return { kind, namespace, name };
}
