import { useState } from 'react';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { EditLabels } from '../components/edit-labels.tsx';
import { textIn } from '../components/fields.tsx';
import { Icon } from '../components/icon.tsx';
import { Rotate } from '../components/rotate.tsx';
import { useSession } from '../session/session.ts';

type Action = 'pause' | 'labels' | 'rotate' | 'rebind' | 'delete';

/** The actions of an admin on an agent. */
export function AgentActions({ agent, onDone }: { agent: Agent; onDone: () => void }) {
  const [action, setAction] = useState<Action>();
  const [pak, setPak] = useState<string>();
  return (
    <>
      <button type="button" onClick={() => setAction('pause')}>
        <Icon name="pause" />
        {agent.paused ? 'Resume' : 'Pause'}
      </button>
      <button type="button" onClick={() => setAction('labels')}>
        Labels
      </button>
      <button type="button" onClick={() => setAction('rotate')}>
        New key
      </button>
      <button type="button" onClick={() => setAction('rebind')}>
        Rebind
      </button>
      <button type="button" className="danger" onClick={() => setAction('delete')}>
        Delete
      </button>
      {action && (
        <ActionDialog
          action={action}
          agent={agent}
          onKey={setPak}
          onClose={() => {
            setAction(undefined);
            onDone();
          }}
        />
      )}
      {pak !== undefined && <NewKey owner={`the agent ${agent.name}`} pak={pak} onClose={() => setPak(undefined)} />}
    </>
  );
}

interface ActionDialogProps {
  readonly action: Action;
  readonly agent: Agent;
  readonly onKey: (pak: string) => void;
  readonly onClose: () => void;
}

function ActionDialog({ action, agent, onKey, onClose }: ActionDialogProps) {
  const { admin } = useSession();
  const { name, paused, labels, etag } = agent;
  switch (action) {
    case 'pause':
      return paused ? (
        <ConfirmDialog
          title={`Resume ${name}`}
          action="Resume"
          onClose={onClose}
          onConfirm={() => admin.resumeAgent({ agent: name })}
        >
          <p>The agent resumes and applies everything that changed in the meantime.</p>
        </ConfirmDialog>
      ) : (
        <ConfirmDialog
          title={`Pause ${name}`}
          action="Pause"
          onClose={onClose}
          onConfirm={() => admin.pauseAgent({ agent: name })}
        >
          <p>A paused agent changes nothing: it does not apply, prune or repair until it is resumed.</p>
        </ConfirmDialog>
      );
    case 'labels':
      return (
        <EditLabels
          name={name}
          labels={labels}
          consequence="Stacks that share a label with the agent are placed on it. Stacks that no longer match are removed from it."
          save={(change) => admin.updateAgent({ agent: name, etag, ...change })}
          onClose={onClose}
        />
      );
    case 'rotate':
      return (
        <Rotate
          name={name}
          rotate={(request) => admin.rotateAgentPak({ agent: name, ...request })}
          onKey={onKey}
          onClose={onClose}
        />
      );
    case 'rebind':
      return (
        <ConfirmDialog
          title={`Rebind ${name}`}
          action="Rebind"
          danger
          confirmText={name}
          onClose={onClose}
          onConfirm={() => admin.rebindAgent({ agent: name })}
        >
          <p>
            Allows another cluster to use this agent’s key. Its placements become pending, and removals in the old
            cluster are abandoned.
          </p>
        </ConfirmDialog>
      );
    case 'delete':
      return (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          confirmText={name}
          onClose={onClose}
          onConfirm={(form) => admin.deleteAgent({ agent: name, etag, orphan: textIn(form, 'orphan') !== '' })}
        >
          <p>The agent first removes everything that it has applied. Then it is deleted.</p>
          <label className="check">
            <input type="checkbox" name="orphan" value="yes" />
            Delete it now and leave its objects in the cluster
          </label>
        </ConfirmDialog>
      );
  }
}
