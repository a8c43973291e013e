import { useState } from 'react';
import { matchReasonsText } from '../../../contract/enum-labels.ts';
import { type Placement, PlacementPhase, PlacementState } from '../../../gen/brokkr/v1/placement_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { AgentLink, StackLink } from '../components/links.tsx';
import { Nothing } from '../components/problem.tsx';
import { Clipped, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { healths, phases, wordOf } from '../enum-labels.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';

interface PlacementsProps {
  /** Whose they are: each shows the other end. */
  readonly of: 'stack' | 'agent';
  readonly placements: readonly Placement[];
  readonly onChange?: () => void;
}

/** Placements, each with why, how it goes, and the way to "why is this not applied". */
export function Placements({ of, placements, onChange }: PlacementsProps) {
  const { rules } = useSession();
  const [asked, setAsked] = useState<Placement>();
  if (placements.length === 0)
    return <Nothing>{of === 'stack' ? 'No agent serves it.' : 'It serves nothing.'}</Nothing>;
  const other: Column<Placement> =
    of === 'stack'
      ? {
          head: 'Agent',
          width: '3fr',
          cell: ({ agent }) => <AgentLink name={agent} />,
        }
      : {
          head: 'Stack',
          width: '3fr',
          cell: ({ stack }) => <StackLink name={stack} />,
        };
  const doings: Column<Placement> = {
    head: 'More',
    width: '5.5rem',
    cell: (placement) => (
      <span className="cell-doings">
        <Link href={explainPath(placement)}>Explain</Link>
        {rules && needsAnswer(placement) && (
          <button type="button" className="small" onClick={() => setAsked(placement)}>
            {placement.held || placement.phase === PlacementPhase.HELD ? 'Confirm' : 'Forget'}
          </button>
        )}
      </span>
    ),
  };
  return (
    <>
      <Table
        label="Placements"
        columns={[other, ...columns, doings]}
        rows={placements}
        keyOf={({ agentId, stackId }) => `${agentId} ${stackId}`}
      />
      {asked && (
        <Answer
          placement={asked}
          onClose={() => {
            setAsked(undefined);
            onChange?.();
          }}
        />
      )}
    </>
  );
}

/** Where a placement is explained. */
export function explainPath({ stack, agent }: { stack: string; agent: string }): string {
  return `/explain?${new URLSearchParams({ stack, agent })}`;
}

function needsAnswer({ held, phase, state }: Placement): boolean {
  return held || phase === PlacementPhase.HELD || state === PlacementState.REMOVING;
}

const columns: readonly Column<Placement>[] = [
  {
    head: 'Phase',
    width: '6.5rem',
    cell: ({ phase, message }) => <Status word={wordOf(phases, phase)} title={message} />,
  },
  {
    head: 'Health',
    width: '8rem',
    cell: ({ health, healthMessage }) => <Status word={wordOf(healths, health)} title={healthMessage} />,
  },
  { head: 'Revision', width: '4.5rem', cell: revisionText },
  {
    head: 'Why',
    width: '3fr',
    wide: true,
    cell: ({ reasons, removalReason }) => <Clipped text={removalReason || matchReasonsText(reasons)} />,
  },
  {
    head: 'Message',
    width: '5fr',
    cell: ({ message, healthMessage }) => <Clipped text={message || healthMessage} />,
  },
  { head: 'Reported', width: '6rem', wide: true, cell: ({ reportTime }) => <Ago time={reportTime} none="never" /> },
];

/** "3", or "2 → 3" while the newer one is not there yet. */
function revisionText({ reportedRevision, desiredRevision, state }: Placement): string {
  if (state === PlacementState.REMOVING) return reportedRevision > 0 ? String(reportedRevision) : '–';
  if (desiredRevision === 0) return '–';
  return reportedRevision === desiredRevision || reportedRevision === 0
    ? String(desiredRevision)
    : `${reportedRevision} → ${desiredRevision}`;
}

function Answer({ placement, onClose }: { placement: Placement; onClose: () => void }) {
  const { admin } = useSession();
  const { agent, stack, generation, heldKeys, order, message, removalReason } = placement;
  if (placement.held || placement.phase === PlacementPhase.HELD)
    return (
      <ConfirmDialog
        title={`Let ${agent} delete`}
        action="Confirm"
        danger
        name={agent}
        onClose={onClose}
        onDo={() => admin.confirmRemoval({ agent, stack, generation, heldKeys, order })}
      >
        <p>
          Objects of {stack} on {agent} are held back from deletion. {message || removalReason}
        </p>
      </ConfirmDialog>
    );
  return (
    <ConfirmDialog
      title={`Forget the removal of ${stack}`}
      action="Forget"
      danger
      name={agent}
      onClose={onClose}
      onDo={() => admin.forgetRemoval({ agent, stack, generation })}
    >
      <p>
        For a cluster that is lost: the broker no longer waits until {agent} has removed {stack}. What is there stays
        there.
      </p>
    </ConfirmDialog>
  );
}
