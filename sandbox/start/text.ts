import { relative } from 'node:path';
import pc from 'picocolors';
import { type Placement, PlacementPhase } from '../../gen/brokkr/v1/placement_pb.ts';

/** The data of the summary that `npm start` prints. */
export interface StartSummary {
  readonly brokerUrl: string;
  readonly metricsUrl: string;
  /** Without the password. */
  readonly database: string;
  readonly dataDir: string;
  /** Only at the first start. */
  readonly adminPak: string | undefined;
  readonly agents: readonly { readonly name: string; readonly cluster: string; readonly healthUrl: string }[];
  readonly placements: readonly Placement[];
  readonly startedInMs: number;
}

const SHOWN_ROWS = 10;

/** Formats the summary for a person; a line that begins with `$` can be pasted without it. */
export function formatSummary(running: StartSummary): string {
  const { brokerUrl, adminPak, agents } = running;
  const { host } = new URL(brokerUrl);
  return [
    '',
    pc.bold(`Brokkr runs, started in ${(running.startedInMs / 1_000).toFixed(1)} s.`),
    '',
    ...formatTable([
      ['Console', brokerUrl, 'sign in with the admin key'],
      ['Broker', brokerUrl, 'gRPC, gRPC-Web and Connect'],
      ['Metrics', running.metricsUrl, ''],
      ['Database', running.database, ''],
      ['Data, logs', relativeToHere(running.dataDir), ''],
      ...firstRows(agents).map((agent) => [`Agent ${agent.name}`, agent.healthUrl, agent.cluster]),
    ]),
    ...moreLine(agents.length),
    '',
    pc.bold('Deployed:'),
    ...placementRows(running.placements),
    '',
    ...keyText(adminPak),
    pc.bold('Try next:'),
    `  $ npm run -s cli -- get placements --server ${brokerUrl}`,
    `  $ grpcurl -plaintext -H "authorization: Bearer $BROKKR_PAK" ${host} brokkr.v1.BrokerService/ListStacks`,
    `  $ curl -s ${brokerUrl}/brokkr.v1.BrokerService/WhoAmI -H "authorization: Bearer $BROKKR_PAK" -H 'content-type: application/json' -d '{}'`,
    '',
    'Ctrl-C stops everything; the data stays.',
    '',
  ].join('\n');
}

function keyText(adminPak: string | undefined): string[] {
  if (adminPak === undefined) return ['The commands need the admin key (PAK) of the first start in BROKKR_PAK.', ''];
  return [
    pc.bold('The admin key (PAK), shown this once; the commands below need it:'),
    `  $ export BROKKR_PAK=${adminPak}`,
    '',
  ];
}

function placementRows(placements: readonly Placement[]): string[] {
  if (placements.length === 0) return ['  nothing'];
  const sorted = placements.toSorted(worstFirst);
  const rows = firstRows(sorted).map(({ agent, stack, reportedRevision, desiredRevision, phase, message }) => [
    stack,
    `revision ${reportedRevision || desiredRevision}`,
    phaseText(phase),
    `on ${agent}`,
    phase === PlacementPhase.FAILED ? message : '',
  ]);
  const rest = new Set(sorted.slice(SHOWN_ROWS).map(({ phase }) => phaseText(phase)));
  return [...formatTable(rows), ...moreLine(placements.length, `: ${[...rest].join(', ')}`)];
}

/** Applied placements come last. */
function worstFirst(a: Placement, b: Placement): number {
  const applied = ({ phase }: Placement) => Number(phase === PlacementPhase.APPLIED);
  return applied(a) - applied(b) || a.agent.localeCompare(b.agent, 'en', { numeric: true });
}

function phaseText(phase: PlacementPhase): string {
  switch (phase) {
    case PlacementPhase.UNSPECIFIED:
      return 'unknown';
    case PlacementPhase.PENDING:
      return pc.yellow('pending');
    case PlacementPhase.APPLIED:
      return pc.green('applied');
    case PlacementPhase.FAILED:
      return pc.red('failed');
    case PlacementPhase.REMOVING:
      return pc.yellow('removing');
    case PlacementPhase.HELD:
      return pc.yellow('held');
    case PlacementPhase.AHEAD:
      return pc.yellow('ahead');
  }
  return `phase ${phase}`;
}

function firstRows<T>(list: readonly T[]): readonly T[] {
  return list.slice(0, SHOWN_ROWS);
}

function moreLine(count: number, detail = ''): string[] {
  return count > SHOWN_ROWS ? [`  and ${count - SHOWN_ROWS} more${detail}`] : [];
}

function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => visibleWidth(row[column])))) ?? [];
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - visibleWidth(cell))).join('  ')}`.trimEnd(),
  );
}

/** Counts visible characters only: colour codes have no width. */
function visibleWidth(cell = ''): number {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape is what colours begin with
  return cell.replaceAll(/\u001b\[\d+m/g, '').length;
}

function relativeToHere(folder: string): string {
  const inside = relative(process.cwd(), folder);
  return inside.startsWith('..') ? folder : inside || '.';
}
