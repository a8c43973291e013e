import { useRef } from 'react';
import type { Deployment } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn } from '../components/fields.tsx';
import { LoadProblem } from '../components/problem.tsx';
import { useLoad } from '../load.ts';
import { newRequestId } from '../request-id.ts';
import { go, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Preview } from './preview.tsx';

/** Goes back to an earlier revision's content, after it was shown what that does. */
export function RollBack({ name, to, onClose }: { name: string; to: Deployment; onClose: () => void }) {
  const { broker } = useSession();
  const requestId = useRef(newRequestId());
  // What submitting the old content now would do is what rolling back does.
  const { data: answer, error } = useLoad(
    `roll back ${name} ${to.revision}`,
    async (signal) => {
      const { manifest } = await broker.getDeployment({ stack: name, revision: to.revision }, { signal });
      return broker.submitDeployment({ stack: name, manifest, dryRun: true, allowEmpty: true }, { signal });
    },
    { once: true },
  );
  return (
    <ConfirmDialog
      title={`Roll ${name} back to revision ${to.revision}`}
      action="Roll back"
      wide
      ready={answer !== undefined}
      onClose={onClose}
      onDo={async (form) => {
        await broker.rollbackStack({
          requestId: requestId.current,
          stack: name,
          revision: to.revision,
          message: textIn(form, 'message'),
        });
        go(stackPath(name));
      }}
    >
      <p>A new revision gets the content of revision {to.revision}.</p>
      <LoadProblem error={error} />
      {answer ? <Preview answer={answer} /> : <p className="faint">Asking what that would change…</p>}
      <Field label="Why (for people)" name="message" maxLength={1024} />
    </ConfirmDialog>
  );
}
