import { useState } from 'react';
import { matchReasonsText } from '../../../contract/enum-labels.ts';
import { placementMessage } from '../../../contract/placement-message.ts';
import { type Placement, PlacementPhase, PlacementState } from '../../../gen/brokkr/v1/placement_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { AgentLink, StackLink } from '../components/links.tsx';
import { EmptyState } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Clipped, Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { healthLabels, labelOf, phaseLabels } from '../enum-labels.ts';
import { Link } from '../router.tsx';
import { useSession } from '../session/session.ts';

interface PlacementsProps {
  /** The end that all placements share; the table shows the other one. */
  readonly owner: 'stack' | 'agent';
  readonly placements: readonly Placement[];
  readonly onChange?: () => void;
}

/** Lists placements with their reasons and status, and links to the explanation. */
export function Placements({ owner, placements, onChange }: PlacementsProps) {
  const { isAdmin } = useSession();
  const [deciding, setDeciding] = useState<Placement>();
  if (placements.length === 0)
    return <EmptyState>{owner === 'stack' ? 'No agent serves this stack.' : 'This agent serves no stack.'}</EmptyState>;
  const linkColumn: Column<Placement> =
    owner === 'stack'
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
  const actionsColumn: Column<Placement> = {
    head: 'Actions',
    width: '5.5rem',
    cell: (placement) => (
      <span className="cell-actions">
        <Link href={explainPath(placement)}>Explain</Link>
        {isAdmin && needsDecision(placement) && (
          <button type="button" className="small" onClick={() => setDeciding(placement)}>
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
        columns={[linkColumn, ...columns, actionsColumn]}
        rows={placements}
        keyOf={({ agentId, stackId }) => `${agentId} ${stackId}`}
      />
      {deciding && (
        <DecisionDialog
          placement={deciding}
          onClose={() => {
            setDeciding(undefined);
            onChange?.();
          }}
        />
      )}
    </>
  );
}

/** Returns the path of the view that explains a placement. */
export function explainPath({ stack, agent }: { stack: string; agent: string }): string {
  return `/explain?${new URLSearchParams({ stack, agent })}`;
}

function needsDecision({ held, phase, state }: Placement): boolean {
  return held || phase === PlacementPhase.HELD || state === PlacementState.REMOVING;
}

const columns: readonly Column<Placement>[] = [
  {
    head: 'Phase',
    width: '6.5rem',
    cell: ({ phase, message }) => <Status label={labelOf(phaseLabels, phase)} title={message} />,
  },
  {
    head: 'Health',
    width: '8rem',
    cell: ({ health, healthMessage }) => <Status label={labelOf(healthLabels, health)} title={healthMessage} />,
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
    cell: (placement) => <Clipped text={placementMessage(placement)} />,
  },
  {
    head: 'Reported',
    width: '6rem',
    wide: true,
    cell: ({ reportTime }) => <RelativeTime time={reportTime} none="never" />,
  },
];

/** Formats the revision: "3", or "2 → 3" while the agent has not reported the desired one. */
function revisionText({ reportedRevision, desiredRevision, state }: Placement): string {
  if (state === PlacementState.REMOVING) return reportedRevision > 0 ? String(reportedRevision) : '–';
  if (desiredRevision === 0) return '–';
  return reportedRevision === desiredRevision || reportedRevision === 0
    ? String(desiredRevision)
    : `${reportedRevision} → ${desiredRevision}`;
}

function DecisionDialog({ placement, onClose }: { placement: Placement; onClose: () => void }) {
  const { admin } = useSession();
  const { agent, stack, generation, heldKeys, order, message, removalReason } = placement;
  if (placement.held || placement.phase === PlacementPhase.HELD)
    return (
      <ConfirmDialog
        title={`Confirm deletion on ${agent}`}
        action="Confirm"
        danger
        confirmText={agent}
        onClose={onClose}
        onConfirm={() => admin.confirmRemoval({ agent, stack, generation, heldKeys, order })}
      >
        <p>
          {agent} holds back the deletion of objects of {stack}. {message || removalReason}
        </p>
      </ConfirmDialog>
    );
  return (
    <ConfirmDialog
      title={`Forget the removal of ${stack}`}
      action="Forget"
      danger
      confirmText={agent}
      onClose={onClose}
      onConfirm={() => admin.forgetRemoval({ agent, stack, generation })}
    >
      <p>
        Use this for a lost cluster: the broker stops waiting for {agent} to remove {stack}. Objects that are still in
        the cluster stay there.
      </p>
    </ConfirmDialog>
  );
}
