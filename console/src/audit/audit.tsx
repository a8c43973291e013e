import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { useState } from 'react';
import { type AuditEntry, AuditOutcome, type VerifyAuditResponse } from '../../../gen/brokkr/v1/audit_pb.ts';
import { EmptyState, ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { auditOutcomeLabels, countText, labelOf, roleNames } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { setQuery, useLocation } from '../router.tsx';
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

/** Lists audit entries, newest first. */
export function Audit() {
  const { admin } = useSession();
  const { query } = useLocation();
  const [limit, setLimit] = useState(step);
  const parameter = (name: string) => query.get(name) ?? '';
  const filters = {
    actor: parameter('actor'),
    action: parameter('action'),
    objectKind: parameter('kind'),
    object: parameter('object'),
  };
  const since = spans[parameter('since')];
  const outcome = query.has('denied') ? AuditOutcome.DENIED : AuditOutcome.UNSPECIFIED;
  const { data, error } = useLoad(`audit ${query} ${limit}`, (signal) =>
    admin.listAuditEntries(
      {
        ...filters,
        outcome,
        ...(since !== undefined && { startTime: timestampFromDate(new Date(Date.now() - since)) }),
        pageSize: limit,
      },
      { signal },
    ),
  );
  const text = (name: string, label: string) => (
    <input
      aria-label={label}
      placeholder={label}
      value={parameter(name)}
      maxLength={63}
      autoComplete="off"
      spellCheck={false}
      onChange={(event) => setQuery({ [name]: event.target.value })}
    />
  );
  return (
    <>
      <ViewHeader title="Audit">
        <Verify />
      </ViewHeader>
      <search className="filters">
        {text('actor', 'Actor')}
        {text('action', 'Action')}
        <select
          aria-label="Object kind"
          value={parameter('kind')}
          onChange={(event) => setQuery({ kind: event.target.value })}
        >
          <option value="">Any kind</option>
          {kinds.map((kind) => (
            <option key={kind}>{kind}</option>
          ))}
        </select>
        {text('object', 'Object')}
        <select
          aria-label="Since"
          value={parameter('since')}
          onChange={(event) => setQuery({ since: event.target.value })}
        >
          <option value="">Any time</option>
          <option value="1h">Last hour</option>
          <option value="24h">Last day</option>
          <option value="7d">Last week</option>
        </select>
        <label className="check">
          <input
            type="checkbox"
            checked={query.has('denied')}
            onChange={(event) => setQuery({ denied: event.target.checked ? 'yes' : '' })}
          />
          Denied only
        </label>
      </search>
      <ErrorMessage error={error} />
      {data?.entries.length === 0 ? (
        <EmptyState>No entry matches.</EmptyState>
      ) : (
        <Table label="Audit entries" columns={columns} rows={data?.entries ?? []} keyOf={({ id }) => String(id)} />
      )}
      {data?.nextPageToken && limit < 500 && (
        <button type="button" onClick={() => setLimit(Math.min(500, limit * 2))}>
          Show more
        </button>
      )}
    </>
  );
}

const columns: readonly Column<AuditEntry>[] = [
  { head: 'Time', width: '8rem', cell: ({ time }) => <RelativeTime time={time} /> },
  {
    head: 'Actor',
    width: '1.5fr',
    cell: ({ actor }) => (
      <span className="clip" title={actor?.shortToken}>
        {actor?.name || 'unknown'} {actor && actor.role !== 0 && <span className="faint">{roleNames[actor.role]}</span>}
      </span>
    ),
  },
  {
    head: 'Action',
    width: '1.5fr',
    cell: ({ action, count: times }) => (times > 1 ? `${action} (${times} times)` : action),
  },
  {
    head: 'Object',
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
    cell: ({ outcome, code }) => <Status label={labelOf(auditOutcomeLabels, outcome)} title={code} />,
  },
  { head: 'Source address', width: '9rem', wide: true, cell: ({ sourceAddress }) => <code>{sourceAddress}</code> },
];

/** Verifies the chain of seals of the audit log. */
function Verify() {
  const { admin } = useSession();
  const [verification, setVerification] = useState<VerifyAuditResponse>();
  const [failure, setFailure] = useState<unknown>();
  const verify = async () => {
    setFailure(undefined);
    await admin.verifyAudit({}, { timeoutMs: 60_000 }).then(setVerification, setFailure);
  };
  return (
    <>
      {verification && (
        <span role="status">
          <Status
            label={
              verification.intact
                ? {
                    text: `intact: ${countText(Number(verification.entries), 'entry', 'entries')}`,
                    tone: 'good',
                    icon: 'check',
                  }
                : { text: verification.problem, tone: 'bad', icon: 'warning' }
            }
          />
        </span>
      )}
      <ErrorMessage error={failure} />
      <button type="button" onClick={verify}>
        Verify the audit log
      </button>
    </>
  );
}
