import { annotationsText } from '../format/describe.ts';
import { annotationEdits, labelEdits } from '../options/edits.ts';
import type { Session } from '../session/session.ts';
import { type DefineCommand, withSession } from './command.ts';

export type MetadataField = 'labels' | 'annotations';

/** A change of labels or annotations, as the update requests of stacks and agents have it. */
type MetadataUpdate = { readonly etag: string | undefined } & Partial<
  ReturnType<typeof labelEdits> & ReturnType<typeof annotationEdits>
>;

interface EditableNoun {
  readonly noun: 'stack' | 'agent';
  /** Sends the change and prints the result. */
  readonly update: (session: Session, name: string, update: MetadataUpdate, field: MetadataField) => Promise<void>;
}

/** Defines the `label` command of a noun. */
export function labelCommand(editable: EditableNoun): DefineCommand {
  return editCommand(editable, 'labels', 'LABEL, or LABEL- to remove it', labelEdits);
}

/** Defines the `annotate` command of a noun. */
export function annotateCommand(editable: EditableNoun): DefineCommand {
  return editCommand(editable, 'annotations', 'KEY=VALUE, or KEY- to remove it', annotationEdits);
}

function editCommand(
  { noun, update }: EditableNoun,
  field: MetadataField,
  syntax: string,
  parseEdits: (edits: readonly string[]) => Omit<MetadataUpdate, 'etag'>,
): DefineCommand {
  return (command) =>
    command
      .command(noun)
      .alias(`${noun}s`)
      .description(`the ${field} of ${noun === 'agent' ? 'an' : 'a'} ${noun}`)
      .argument('<name>')
      .argument('<edits...>', syntax)
      .option('--etag <etag>', 'change it only if this is still its etag')
      .action(
        withSession((session, name: string, edits: string[], { etag }: { etag?: string }) =>
          update(session, name, { etag, ...parseEdits(edits) }, field),
        ),
      );
}

/** Formats the labels or annotations of a resource: "labels a, b". */
export function metadataText(
  field: MetadataField,
  resource: { readonly labels: readonly string[]; readonly annotations: Readonly<Record<string, string>> },
): string {
  const text = field === 'labels' ? resource.labels.join(', ') : annotationsText(resource.annotations);
  return `${field} ${text || 'none'}`;
}
