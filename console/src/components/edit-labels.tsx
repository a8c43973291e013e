import { ConfirmDialog } from './dialog.tsx';
import { Field, wordsIn } from './fields.tsx';

interface EditLabelsProps {
  readonly name: string;
  readonly labels: readonly string[];
  /** Explains what a change leads to. */
  readonly consequence: string;
  readonly save: (change: { addLabels: string[]; removeLabels: string[] }) => Promise<unknown>;
  readonly onClose: () => void;
}

/** Edits labels by adding and removing single ones, so that two people do not overwrite each other's changes. */
export function EditLabels({ name, labels, consequence, save, onClose }: EditLabelsProps) {
  return (
    <ConfirmDialog
      title={`Labels of ${name}`}
      action="Save"
      onClose={onClose}
      onConfirm={(form) => {
        const wanted = wordsIn(form, 'labels');
        return save({
          addLabels: wanted.filter((label) => !labels.includes(label)),
          removeLabels: labels.filter((label) => !wanted.includes(label)),
        });
      }}
    >
      <p>{consequence}</p>
      <Field label="Labels" name="labels" defaultValue={labels.join(' ')} hint="Separated by spaces." />
    </ConfirmDialog>
  );
}
