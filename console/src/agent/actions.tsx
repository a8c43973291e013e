import { useState } from 'react';
import type { Agent } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { EditLabels } from '../components/edit-labels.tsx';
import { textIn } from '../components/fields.tsx';
import { Icon } from '../components/icon.tsx';
import { Rotate } from '../components/rotate.tsx';
import { useSession } from '../session/session.ts';

type Doing = 'pause' | 'labels' | 'rotate' | 'rebind' | 'delete';

/** What an admin can do with an agent. */
export function AgentDoings({ agent, onDone }: { agent: Agent; onDone: () => void }) {
  const [doing, setDoing] = useState<Doing>();
  const [pak, setPak] = useState<string>();
  return (
    <>
      <button type="button" onClick={() => setDoing('pause')}>
        <Icon name="pause" />
        {agent.paused ? 'Resume' : 'Pause'}
      </button>
      <button type="button" onClick={() => setDoing('labels')}>
        Labels
      </button>
      <button type="button" onClick={() => setDoing('rotate')}>
        New key
      </button>
      <button type="button" onClick={() => setDoing('rebind')}>
        Rebind
      </button>
      <button type="button" className="danger" onClick={() => setDoing('delete')}>
        Delete
      </button>
      {doing && (
        <Dialogue
          doing={doing}
          agent={agent}
          onKey={setPak}
          onClose={() => {
            setDoing(undefined);
            onDone();
          }}
        />
      )}
      {pak !== undefined && <NewKey what={`the agent ${agent.name}`} pak={pak} onClose={() => setPak(undefined)} />}
    </>
  );
}

interface DialogueProps {
  readonly doing: Doing;
  readonly agent: Agent;
  readonly onKey: (pak: string) => void;
  readonly onClose: () => void;
}

function Dialogue({ doing, agent, onKey, onClose }: DialogueProps) {
  const { admin } = useSession();
  const { name, paused, labels, etag } = agent;
  switch (doing) {
    case 'pause':
      return paused ? (
        <ConfirmDialog
          title={`Resume ${name}`}
          action="Resume"
          onClose={onClose}
          onDo={() => admin.resumeAgent({ agent: name })}
        >
          <p>It goes on where it was: everything that changed meanwhile is applied.</p>
        </ConfirmDialog>
      ) : (
        <ConfirmDialog
          title={`Pause ${name}`}
          action="Pause"
          onClose={onClose}
          onDo={() => admin.pauseAgent({ agent: name })}
        >
          <p>A paused agent freezes: it applies, prunes and repairs nothing until it is resumed.</p>
        </ConfirmDialog>
      );
    case 'labels':
      return (
        <EditLabels
          name={name}
          labels={labels}
          consequence="Stacks that share a label are placed on it. Those that do not match any more are removed from it."
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
          name={name}
          onClose={onClose}
          onDo={() => admin.rebindAgent({ agent: name })}
        >
          <p>
            Lets its key be used by another cluster. What it serves becomes pending; removals in the old cluster are
            given up.
          </p>
        </ConfirmDialog>
      );
    case 'delete':
      return (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          name={name}
          onClose={onClose}
          onDo={(form) => admin.deleteAgent({ agent: name, etag, orphan: textIn(form, 'orphan') !== '' })}
        >
          <p>It first removes everything that it has applied, then it is gone.</p>
          <label className="check">
            <input type="checkbox" name="orphan" value="yes" />
            At once, and leave its objects in the cluster
          </label>
        </ConfirmDialog>
      );
  }
}
