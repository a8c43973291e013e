import { ConflictPolicy, DriftPolicy, OnDelete, type Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { linesIn, Select, selectedIn, TextArea } from '../components/fields.tsx';
import { useSession } from '../session/session.ts';

export const driftNames: Readonly<Record<DriftPolicy, string>> = {
  [DriftPolicy.UNSPECIFIED]: 'repaired',
  [DriftPolicy.REPAIR]: 'repaired and reported',
  [DriftPolicy.REPORT]: 'reported only',
  [DriftPolicy.IGNORE]: 'ignored until the next revision',
};
export const conflictNames: Readonly<Record<ConflictPolicy, string>> = {
  [ConflictPolicy.UNSPECIFIED]: 'adopted',
  [ConflictPolicy.ADOPT]: 'adopted',
  [ConflictPolicy.REFUSE]: 'refused',
};
export const onDeleteNames: Readonly<Record<OnDelete, string>> = {
  [OnDelete.UNSPECIFIED]: 'deleted',
  [OnDelete.PRUNE]: 'deleted',
  [OnDelete.ORPHAN]: 'kept in the cluster',
};

/** Names the ways in which agents treat a field that the API server allows only in a new object. */
export const replaceNames: Readonly<Record<number, string>> = {
  1: 'refused',
  2: 'changed by deleting and creating the object',
};

/** Returns the key of `replaceNames` for a setting. */
export function replaceChoice(forceReplace: boolean): number {
  return forceReplace ? 2 : 1;
}

/** Edits the settings of a stack. Saving is refused when somebody else changed the stack meanwhile. */
export function ChangeSettings({ stack, onClose }: { stack: Stack; onClose: () => void }) {
  const { broker } = useSession();
  const name = `${stack.generator}/${stack.name}`;
  const save = (form: FormData) => {
    const annotations = annotationsIn(form);
    return broker.updateStack({
      stack: name,
      etag: stack.etag,
      drift: selectedIn<DriftPolicy>(form, 'drift'),
      conflict: selectedIn<ConflictPolicy>(form, 'conflict'),
      onDelete: selectedIn<OnDelete>(form, 'on-delete'),
      forceReplace: selectedIn<number>(form, 'force-replace') === replaceChoice(true),
      updateMask: { paths: ['drift', 'conflict', 'on_delete', 'force_replace'] },
      setAnnotations: annotations,
      removeAnnotations: Object.keys(stack.annotations).filter((key) => annotations[key] === undefined),
    });
  };
  return (
    <ConfirmDialog title={`Settings of ${name}`} action="Save" onClose={onClose} onConfirm={async (form) => save(form)}>
      <Select label="Drift" name="drift" options={driftNames} value={stack.drift || DriftPolicy.REPAIR} />
      <Select
        label="Existing objects of others"
        name="conflict"
        options={conflictNames}
        value={stack.conflict || ConflictPolicy.ADOPT}
      />
      <Select
        label="Objects when the stack is removed"
        name="on-delete"
        options={onDeleteNames}
        value={stack.onDelete || OnDelete.PRUNE}
      />
      <Select
        label="Fields that may not be changed"
        name="force-replace"
        options={replaceNames}
        value={replaceChoice(stack.forceReplace)}
      />
      <TextArea
        label="Annotations"
        name="annotations"
        hint="One key=value per line. Agents that share any of them serve the stack. It is removed from agents that no longer match."
        defaultValue={Object.entries(stack.annotations)
          .map(([key, value]) => `${key}=${value}`)
          .join('\n')}
      />
    </ConfirmDialog>
  );
}

function annotationsIn(form: FormData): Record<string, string> {
  const pairs = linesIn(form, 'annotations').map((line) => {
    const sign = line.indexOf('=');
    if (sign < 1) throw new Error(`“${line}” is not of the form key=value.`);
    return [line.slice(0, sign).trim(), line.slice(sign + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}
