import { annotationsText } from '../format/describe.ts';
import {
  addChoiceOptions,
  type ChoiceOptions,
  chooseNames,
  isChosenByOption,
  type Selectable,
} from '../options/choice.ts';
import { annotationEdits, labelEdits } from '../options/edits.ts';
import { usageError } from '../output/failure.ts';
import type { Output } from '../output/output.ts';
import type { Session } from '../session/session.ts';
import { type DefineCommand, withSession } from './command.ts';
import { actOnEach } from './many.ts';

export type MetadataField = 'labels' | 'annotations';

/** A change of labels or annotations, as the update requests of stacks and agents have it. */
type MetadataUpdate = { readonly etag: string | undefined } & Partial<
  ReturnType<typeof labelEdits> & ReturnType<typeof annotationEdits>
>;

/** A noun whose labels and annotations can be edited, on one resource or on many at once. */
export interface EditableNoun<M> {
  readonly noun: 'stack' | 'agent';
  /** Lists the resources that a selector may choose from, with the names that `update` takes. */
  readonly list: (session: Session) => Promise<readonly Selectable[]>;
  readonly update: (session: Session, name: string, update: MetadataUpdate) => Promise<M>;
  readonly print: (output: Output, changed: readonly M[], field: MetadataField) => void;
}

/** Defines the `label` command of a noun. */
export function labelCommand<M>(editable: EditableNoun<M>): DefineCommand {
  return editCommand(editable, 'labels', 'LABEL, or LABEL- to remove it', labelEdits);
}

/** Defines the `annotate` command of a noun. */
export function annotateCommand<M>(editable: EditableNoun<M>): DefineCommand {
  return editCommand(editable, 'annotations', 'KEY=VALUE, or KEY- to remove it', annotationEdits);
}

function editCommand<M>(
  { noun, list, update, print }: EditableNoun<M>,
  field: MetadataField,
  syntax: string,
  parseEdits: (edits: readonly string[]) => Omit<MetadataUpdate, 'etag'>,
): DefineCommand {
  const run = async (
    session: Session,
    name: string | undefined,
    rest: string[],
    options: ChoiceOptions & { readonly etag?: string },
  ) => {
    const isChosen = isChosenByOption(options);
    const edits = isChosen && name !== undefined ? [name, ...rest] : rest;
    if (edits.length === 0) throw usageError(`missing ${field} to change`, `give ${syntax}`);
    if (isChosen && options.etag !== undefined) throw usageError('--etag is for one resource');
    const parsed = parseEdits(edits);
    const names = await chooseNames(isChosen || name === undefined ? [] : [name], options, {
      noun,
      question: `Change the ${field} (${edits.join(' ')}) of`,
      list: () => list(session),
    });
    await actOnEach(
      session.output,
      noun,
      names,
      (one) => update(session, one, { etag: options.etag, ...parsed }),
      (changed) => print(session.output, changed, field),
    );
  };
  return (command) =>
    addChoiceOptions(
      command
        .command(noun)
        .alias(`${noun}s`)
        .description(`the ${field} of ${noun === 'agent' ? 'an agent' : 'a stack'}, or of many`)
        .argument('[name]', 'left out with --selector or --all')
        .argument('[edits...]', syntax)
        .option('--etag <etag>', 'change it only if this is still its etag'),
      noun,
    ).action(withSession(run));
}

/** Formats the labels or annotations of a resource: "labels a, b". */
export function metadataText(
  field: MetadataField,
  resource: { readonly labels: readonly string[]; readonly annotations: Readonly<Record<string, string>> },
): string {
  const text = field === 'labels' ? resource.labels.join(', ') : annotationsText(resource.annotations);
  return `${field} ${text || 'none'}`;
}
