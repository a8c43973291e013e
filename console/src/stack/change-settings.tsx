import { ConflictPolicy, DriftPolicy, OnDelete, type Stack } from '../../../gen/brokkr/v1/stack_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { choiceIn, linesIn, Select, TextArea } from '../components/fields.tsx';
import { useSession } from '../session/session.ts';

export const drifts: Readonly<Record<DriftPolicy, string>> = {
  [DriftPolicy.UNSPECIFIED]: 'applied again',
  [DriftPolicy.REPAIR]: 'applied again, and reported',
  [DriftPolicy.REPORT]: 'only reported',
  [DriftPolicy.IGNORE]: 'left alone until the next revision',
};
export const conflicts: Readonly<Record<ConflictPolicy, string>> = {
  [ConflictPolicy.UNSPECIFIED]: 'becomes the stack’s',
  [ConflictPolicy.ADOPT]: 'becomes the stack’s',
  [ConflictPolicy.REFUSE]: 'fails',
};
export const onDeletes: Readonly<Record<OnDelete, string>> = {
  [OnDelete.UNSPECIFIED]: 'are deleted',
  [OnDelete.PRUNE]: 'are deleted',
  [OnDelete.ORPHAN]: 'stay in the cluster',
};

/** Changes what agents do with a stack, as it was when it was opened: refused when somebody else was faster. */
export function ChangeSettings({ stack, onClose }: { stack: Stack; onClose: () => void }) {
  const { broker } = useSession();
  const name = `${stack.generator}/${stack.name}`;
  const save = (form: FormData) => {
    const annotations = annotationsIn(form);
    return broker.updateStack({
      stack: name,
      etag: stack.etag,
      drift: choiceIn<DriftPolicy>(form, 'drift'),
      conflict: choiceIn<ConflictPolicy>(form, 'conflict'),
      onDelete: choiceIn<OnDelete>(form, 'on-delete'),
      updateMask: { paths: ['drift', 'conflict', 'on_delete'] },
      setAnnotations: annotations,
      removeAnnotations: Object.keys(stack.annotations).filter((key) => annotations[key] === undefined),
    });
  };
  return (
    <ConfirmDialog title={`Settings of ${name}`} action="Save" onClose={onClose} onDo={async (form) => save(form)}>
      <Select label="What others changed" name="drift" of={drifts} value={stack.drift || DriftPolicy.REPAIR} />
      <Select
        label="What is there already"
        name="conflict"
        of={conflicts}
        value={stack.conflict || ConflictPolicy.ADOPT}
      />
      <Select
        label="Objects, when an agent loses the stack"
        name="on-delete"
        of={onDeletes}
        value={stack.onDelete || OnDelete.PRUNE}
      />
      <TextArea
        label="Annotations"
        name="annotations"
        hint="A line for each: key=value. Agents with any one of them serve the stack; it is removed from those that do not match any more."
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
    if (sign < 1) throw new Error(`An annotation is key=value; “${line}” is not.`);
    return [line.slice(0, sign).trim(), line.slice(sign + 1).trim()] as const;
  });
  return Object.fromEntries(pairs);
}
