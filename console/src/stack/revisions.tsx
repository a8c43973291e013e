import { useState } from 'react';
import type { Deployment } from '../../../gen/brokkr/v1/deployment_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Clipped } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { countText, sizeText } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { setQuery, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Compare } from './compare.tsx';
import { RollBack } from './roll-back.tsx';

/** Lists the revisions of a stack, compares two of them, and rolls back to one. */
export function Revisions({ stack }: { stack: Stack }) {
  const { broker, canWrite } = useSession();
  const { query } = useLocation();
  const [rollbackTarget, setRollbackTarget] = useState<Deployment>();
  const name = `${stack.generator}/${stack.name}`;
  const { data, error } = useLoad(`revisions ${name} ${stack.revision}`, (signal) =>
    broker.listDeployments({ stack: name, pageSize: 100 }, { signal }),
  );
  const left = Number(query.get('from')) || stack.revision - 1;
  const right = Number(query.get('to')) || stack.revision;
  const columns: readonly Column<Deployment>[] = [
    {
      head: 'Revision',
      width: '7rem',
      cell: ({ revision, current }) => (
        <>
          <strong>{revision}</strong>
          {current && <span className="label">current</span>}
        </>
      ),
    },
    {
      head: 'Message',
      width: '2fr',
      cell: ({ message, rollbackOf }) => (
        <Clipped text={message || (rollbackOf > 0 ? `rollback to revision ${rollbackOf}` : '')} />
      ),
    },
    { head: 'By', width: '1.5fr', wide: true, cell: ({ createdBy }) => createdBy },
    { head: 'Created', width: '7rem', wide: true, cell: ({ createTime }) => <RelativeTime time={createTime} /> },
    {
      head: 'Size',
      width: '11rem',
      wide: true,
      cell: ({ objectCount, size: bytes }) => `${countText(objectCount, 'object')}, ${sizeText(bytes)}`,
    },
    {
      head: 'Actions',
      width: '13rem',
      cell: (deployment) => (
        <span className="cell-actions">
          <button
            type="button"
            className="small"
            onClick={() => setQuery({ from: String(deployment.revision), to: String(stack.revision) })}
            disabled={deployment.current}
          >
            Compare<span className="hidden"> revision {deployment.revision} with the current one</span>
          </button>
          {canWrite && !deployment.current && !stack.deleteTime && (
            <button type="button" className="small" onClick={() => setRollbackTarget(deployment)}>
              Roll back<span className="hidden"> to revision {deployment.revision}</span>
            </button>
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <ErrorMessage error={error} />
      <Table label="Revisions" columns={columns} rows={data?.deployments ?? []} keyOf={({ id }) => id} />
      {data && data.deployments.length > 1 && (
        <Compare name={name} deployments={data.deployments} left={left} right={right} />
      )}
      {rollbackTarget && <RollBack name={name} to={rollbackTarget} onClose={() => setRollbackTarget(undefined)} />}
    </>
  );
}
