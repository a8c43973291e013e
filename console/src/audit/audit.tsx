import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { useState } from 'react';
import { type AuditEntry, AuditOutcome, type VerifyAuditResponse } from '../../../gen/brokkr/v1/audit_pb.ts';
import { Head } from '../components/head.tsx';
import { LoadProblem, Nothing, Problem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { auditOutcomes, count, roles, wordOf } from '../enum-labels.ts';
import { tell } from '../errors.ts';
import { useLoad } from '../load.ts';
import { setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';

const kinds = [
  'stack',
  'agent',
  'generator',
  'deployment',
  'placement',
  'target',
  'registration',
  'pak',
  'diagnostic',
  'installation',
] as const;
const spans: Readonly<Record<string, number>> = { '1h': 3_600_000, '24h': 86_400_000, '7d': 604_800_000 };
const step = 100;

/** Who did what, newest first. */
export function Audit() {
  const { admin } = useSession();
  const { query } = usePlace();
  const [most, setMost] = useState(step);
  const of = (name: string) => query.get(name) ?? '';
  const filters = { actor: of('actor'), action: of('action'), objectKind: of('kind'), object: of('object') };
  const since = spans[of('since')];
  const outcome = query.has('denied') ? AuditOutcome.DENIED : AuditOutcome.UNSPECIFIED;
  const { data, error } = useLoad(`audit ${query} ${most}`, (signal) =>
    admin.listAuditEntries(
      {
        ...filters,
        outcome,
        ...(since !== undefined && { startTime: timestampFromDate(new Date(Date.now() - since)) }),
        pageSize: most,
      },
      { signal },
    ),
  );
  const text = (name: string, label: string) => (
    <input
      aria-label={label}
      placeholder={label}
      value={of(name)}
      maxLength={63}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => setQuery({ [name]: event.target.value })}
    />
  );
  return (
    <>
      <Head title="Audit">
        <Verify />
      </Head>
      <search className="filters">
        {text('actor', 'Who')}
        {text('action', 'Action')}
        <select
          aria-label="Kind of thing"
          value={of('kind')}
          onChange={(event) => setQuery({ kind: event.target.value })}
        >
          <option value="">Anything</option>
          {kinds.map((kind) => (
            <option key={kind}>{kind}</option>
          ))}
        </select>
        {text('object', 'On what')}
        <select aria-label="Since" value={of('since')} onChange={(event) => setQuery({ since: event.target.value })}>
          <option value="">Any time</option>
          <option value="1h">The last hour</option>
          <option value="24h">The last day</option>
          <option value="7d">The last week</option>
        </select>
        <label className="check">
          <input
            type="checkbox"
            checked={query.has('denied')}
            onChange={(event) => setQuery({ denied: event.target.checked ? 'yes' : '' })}
          />
          Only denied
        </label>
      </search>
      <LoadProblem error={error} />
      {data?.entries.length === 0 ? (
        <Nothing>Nothing of that kind is recorded.</Nothing>
      ) : (
        <Table label="Audit entries" columns={columns} rows={data?.entries ?? []} keyOf={({ id }) => String(id)} />
      )}
      {data?.nextPageToken && most < 500 && (
        <button type="button" onClick={() => setMost(Math.min(500, most * 2))}>
          Show more
        </button>
      )}
    </>
  );
}

const columns: readonly Column<AuditEntry>[] = [
  { head: 'When', width: '8rem', cell: ({ time }) => <Ago time={time} /> },
  {
    head: 'Who',
    width: '1.5fr',
    cell: ({ actor }) => (
      <span className="clip" title={actor?.shortToken}>
        {actor?.name || 'nobody known'}{' '}
        {actor && actor.role !== 0 && <span className="faint">{roles[actor.role]}</span>}
      </span>
    ),
  },
  {
    head: 'Action',
    width: '1.5fr',
    cell: ({ action, count: times }) => (times > 1 ? `${action} (${times} times)` : action),
  },
  {
    head: 'On',
    width: '2fr',
    cell: ({ objectKind, object }) => (
      <span className="clip" title={object}>
        <span className="faint">{objectKind}</span> {object}
      </span>
    ),
  },
  {
    head: 'Outcome',
    width: '7rem',
    cell: ({ outcome, code }) => <Status word={wordOf(auditOutcomes, outcome)} title={code} />,
  },
  { head: 'From', width: '9rem', wide: true, cell: ({ sourceAddress }) => <code>{sourceAddress}</code> },
];

/** Computes the chain of seals again. */
function Verify() {
  const { admin } = useSession();
  const [found, setFound] = useState<VerifyAuditResponse>();
  const [failure, setFailure] = useState<unknown>();
  const verify = async () => {
    setFailure(undefined);
    await admin.verifyAudit({}, { timeoutMs: 60_000 }).then(setFound, setFailure);
  };
  return (
    <>
      {found && (
        <span role="status">
          <Status
            word={
              found.intact
                ? {
                    word: `intact: ${count(Number(found.entries), 'entry', 'entries')}`,
                    tone: 'good',
                    icon: 'check',
                  }
                : { word: found.problem, tone: 'bad', icon: 'warning' }
            }
          />
        </span>
      )}
      {failure !== undefined && <Problem told={tell(failure)} />}
      <button type="button" onClick={verify}>
        Verify the record
      </button>
    </>
  );
}
