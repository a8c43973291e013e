import { useRef } from 'react';
import type { Deployment } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { useLoad } from '../load.ts';
import { newRequestId } from '../request-id.ts';
import { navigate, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Preview } from './preview.tsx';

/** Rolls back to an earlier revision after a preview. */
export function RollBack({ name, to, onClose }: { name: string; to: Deployment; onClose: () => void }) {
  const { broker } = useSession();
  const requestId = useRef(newRequestId());
  // A dry run of submitting the old content shows what the rollback would change.
  const { data: answer, error } = useLoad(
    `roll back ${name} ${to.revision}`,
    async (signal) => {
      const { manifest } = await broker.getDeployment({ stack: name, revision: to.revision }, { signal });
      const { namespace } = to;
      return broker.submitDeployment({ stack: name, manifest, namespace, dryRun: true, allowEmpty: true }, { signal });
    },
    { once: true },
  );
  return (
    <ConfirmDialog
      title={`Roll ${name} back to revision ${to.revision}`}
      action="Roll back"
      wide
      isReady={answer !== undefined}
      onClose={onClose}
      onConfirm={async (form) => {
        await broker.rollbackStack({
          requestId: requestId.current,
          stack: name,
          revision: to.revision,
          message: textIn(form, 'message'),
        });
        navigate(stackPath(name));
      }}
    >
      <p>Creates a new revision with the content of revision {to.revision}.</p>
      <ErrorMessage error={error} />
      {answer ? <Preview answer={answer} /> : <p className="faint">Loading the preview…</p>}
      <Field label="Message (optional)" name="message" maxLength={1024} />
    </ConfirmDialog>
  );
}
