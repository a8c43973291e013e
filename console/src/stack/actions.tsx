import { useState } from 'react';
import type { Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { EditLabels } from '../components/edit-labels.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { go, Link, pathOf, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Doing = 'labels' | 'target' | 'delete';

/** What its owner or an admin can do with a stack. */
export function StackDoings({ stack }: { stack: Stack }) {
  const { broker } = useSession();
  const [doing, setDoing] = useState<Doing>();
  const name = `${stack.generator}/${stack.name}`;
  const close = () => setDoing(undefined);
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
      <button type="button" onClick={() => setDoing('labels')}>
        Labels
      </button>
      <button type="button" onClick={() => setDoing('target')}>
        Target
      </button>
      <button type="button" className="danger" onClick={() => setDoing('delete')}>
        Delete
      </button>
      {doing === 'labels' && (
        <EditLabels
          name={name}
          labels={stack.labels}
          consequence="Agents with any one of them serve it. It is removed from those that do not match any more."
          save={(change) => broker.updateStack({ stack: name, etag: stack.etag, ...change })}
          onClose={close}
        />
      )}
      {doing === 'target' && (
        <ConfirmDialog
          title={`Target ${name}`}
          action="Place it there"
          onClose={close}
          onDo={(form) => broker.addTarget({ stack: name, agent: textIn(form, 'agent') })}
        >
          <p>Places it on one agent, whatever their labels. Settings lists the targets.</p>
          <Field label="Agent" name="agent" required maxLength={63} />
        </ConfirmDialog>
      )}
      {doing === 'delete' && (
        <ConfirmDialog
          title={`Delete ${name}`}
          action="Delete"
          danger
          name={stack.name}
          onClose={close}
          onDo={async () => {
            await broker.deleteStack({ stack: name, etag: stack.etag });
            go(pathOf('stacks'));
          }}
        >
          <p>
            It is removed from every agent that serves it, with its objects. It is gone when the last one has
            acknowledged.
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
