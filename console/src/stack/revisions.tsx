import { useState } from 'react';
import type { Deployment } from '../../../gen/brokkr/v1/deployment_pb.ts';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { LoadProblem } from '../components/problem.tsx';
import { Clipped } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { count, size } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Compare } from './compare.tsx';
import { RollBack } from './roll-back.tsx';

/** The revisions of a stack, two of them side by side, and the way back to one. */
export function Revisions({ stack }: { stack: Stack }) {
  const { broker, writes } = useSession();
  const { query } = usePlace();
  const [back, setBack] = useState<Deployment>();
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
        <Clipped text={message || (rollbackOf > 0 ? `back to revision ${rollbackOf}` : '')} />
      ),
    },
    { head: 'By', width: '1.5fr', wide: true, cell: ({ createdBy }) => createdBy },
    { head: 'When', width: '7rem', wide: true, cell: ({ createTime }) => <Ago time={createTime} /> },
    {
      head: 'Size',
      width: '11rem',
      wide: true,
      cell: ({ objectCount, size: bytes }) => `${count(objectCount, 'object')}, ${size(bytes)}`,
    },
    {
      head: 'More',
      width: '13rem',
      cell: (deployment) => (
        <span className="cell-doings">
          <button
            type="button"
            className="small"
            onClick={() => setQuery({ from: String(deployment.revision), to: String(stack.revision) })}
            disabled={deployment.current}
          >
            Compare<span className="hidden"> revision {deployment.revision} with the current one</span>
          </button>
          {writes && !deployment.current && !stack.deleteTime && (
            <button type="button" className="small" onClick={() => setBack(deployment)}>
              Roll back<span className="hidden"> to revision {deployment.revision}</span>
            </button>
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <LoadProblem error={error} />
      <Table label="Revisions" columns={columns} rows={data?.deployments ?? []} keyOf={({ id }) => id} />
      {data && data.deployments.length > 1 && (
        <Compare name={name} deployments={data.deployments} left={left} right={right} />
      )}
      {back && <RollBack name={name} to={back} onClose={() => setBack(undefined)} />}
    </>
  );
}
