import { useRef, useState } from 'react';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn, wordsIn } from '../components/fields.tsx';
import { newRequestId } from '../request-id.ts';
import { useSession } from '../session/session.ts';

/** Makes an agent and shows its key. */
export function NewAgent({ onClose }: { onClose: () => void }) {
  const { admin } = useSession();
  const requestId = useRef(newRequestId());
  const [made, setMade] = useState<{ name: string; pak: string }>();
  if (made) return <NewKey what={`the agent ${made.name}`} pak={made.pak} onClose={onClose} />;
  return (
    <ConfirmDialog
      title="New agent"
      action="Create"
      onClose={onClose}
      stays
      onDo={async (form) => {
        const name = textIn(form, 'name');
        const { pak } = await admin.createAgent({
          requestId: requestId.current,
          name,
          description: textIn(form, 'description'),
          labels: wordsIn(form, 'labels'),
          generators: wordsIn(form, 'generators'),
        });
        setMade({ name, pak });
      }}
    >
      <Field label="Name" name="name" hint="Small letters, digits and hyphens." {...namePattern} />
      <Field label="Description" name="description" maxLength={1024} />
      <Field label="Labels" name="labels" hint="Separated by spaces. Stacks with any one of them are placed on it." />
      <Field label="Generators" name="generators" hint="Whose stacks it serves, besides the admins’ own." />
    </ConfirmDialog>
  );
}
