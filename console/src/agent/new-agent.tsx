import { useRef, useState } from 'react';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { newRequestId } from '../request-id.ts';
import { useSession } from '../session/session.ts';

/** Creates an agent and shows its key. */
export function NewAgent({ onClose }: { onClose: () => void }) {
  const { admin } = useSession();
  const requestId = useRef(newRequestId());
  const [created, setCreated] = useState<{ name: string; pak: string }>();
  if (created) return <NewKey owner={`the agent ${created.name}`} pak={created.pak} onClose={onClose} />;
  return (
    <ConfirmDialog
      title="New agent"
      action="Create"
      onClose={onClose}
      staysOpen
      onConfirm={async (form) => {
        const name = textIn(form, 'name');
        const { pak } = await admin.createAgent({
          requestId: requestId.current,
          name,
          description: textIn(form, 'description'),
          labels: wordsIn(form, 'labels'),
          generators: wordsIn(form, 'generators'),
        });
        setCreated({ name, pak });
      }}
    >
      <Field label="Name" name="name" hint="Lowercase letters, digits and hyphens." {...namePattern} />
      <Field label="Description" name="description" maxLength={1024} />
      <Field
        label="Labels"
        name="labels"
        hint="Separated by spaces. Stacks that share any of them are placed on the agent."
      />
      <Field label="Generators" name="generators" hint="The generators to register the agent with, besides system." />
    </ConfirmDialog>
  );
}
