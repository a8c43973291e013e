import { useState } from 'react';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { EditLabels } from '../components/edit-labels.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { Link, navigate, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Action = 'labels' | 'target' | 'delete';

/** The actions of the owner or an admin on a stack. */
export function StackActions({ stack }: { stack: Stack }) {
  const { broker } = useSession();
  const [action, setAction] = useState<Action>();
  const name = `${stack.generator}/${stack.name}`;
  const close = () => setAction(undefined);
  return (
    <>
      <Link className="button primary" href={stackPath(name, 'deploy')}>
        Deploy
      </Link>
      {stack.revision > 1 && (
        <Link className="button" href={stackPath(name, 'revisions')}>
          Roll back
        </Link>
      )}
      <button type="button" onClick={() => setAction('labels')}>
        Labels
      </button>
      <button type="button" onClick={() => setAction('target')}>
        Target
      </button>
      <button type="button" className="danger" onClick={() => setAction('delete')}>
        Delete
      </button>
      {action === 'labels' && (
        <EditLabels
          name={name}
          labels={stack.labels}
          consequence="Agents that share any of these labels serve the stack. It is removed from agents that no longer match."
          save={(change) => broker.updateStack({ stack: name, etag: stack.etag, ...change })}
          onClose={close}
        />
      )}
      {action === 'target' && (
        <ConfirmDialog
          title={`Target ${name}`}
          action="Add target"
          onClose={close}
          onConfirm={(form) => broker.addTarget({ stack: name, agent: textIn(form, 'agent') })}
        >
          <p>Places the stack on one agent regardless of labels. Targets are listed in Settings.</p>
          <Field label="Agent" name="agent" required maxLength={63} />
        </ConfirmDialog>
      )}
      {action === 'delete' && (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          confirmText={stack.name}
          onClose={close}
          onConfirm={async () => {
            await broker.deleteStack({ stack: name, etag: stack.etag });
            navigate(pathOf('stacks'));
          }}
        >
          <p>
            The stack and its objects are removed from every agent that serves it. It is deleted once the last agent has
            acknowledged the removal.
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
