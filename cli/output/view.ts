import { type DescMessage, type JsonValue, type MessageShape, toJson } from '@bufbuild/protobuf';
import { stringify } from 'yaml';
import type { Output } from './output.ts';
import { type Column, renderTable } from './table.ts';

/** Describes how to print one kind of resource. */
export interface View<D extends DescMessage> {
  readonly schema: D;
  /** Field of the list in JSON, as the API calls it. */
  readonly listField: string;
  /** Plural for users; default `listField`. */
  readonly displayName?: string;
  readonly columns: readonly Column<MessageShape<D>>[];
  /** Returns the name by which other commands accept the resource. */
  readonly name: (message: MessageShape<D>) => string;
}

/** Prints a list as a table, as JSON or YAML of the API, or as names. */
export function printList<D extends DescMessage>(
  output: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
): void {
  if (output.format === 'name') for (const message of messages) output.line(view.name(message));
  else if (output.format !== 'table')
    printJson(output, { [view.listField]: messages.map((message) => jsonOf(view.schema, message)) });
  else if (messages.length === 0) output.note(`no ${view.displayName ?? view.listField}`);
  else output.line(renderTable(output, view.columns, messages));
}

/** Prints one resource; `printDetails` prints it in the form for people. */
export function printOne<D extends DescMessage>(
  output: Output,
  view: Pick<View<D>, 'schema' | 'name'>,
  message: MessageShape<D>,
  printDetails: () => void,
): void {
  if (output.format === 'table') printDetails();
  else if (output.format === 'name') output.line(view.name(message));
  else printJson(output, jsonOf(view.schema, message));
}

/** Prints the results of a command for one or many resources: a line for each, or one resource or a list of them in the form of `-o`. */
export function printEach<D extends DescMessage>(
  output: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
  lineOf: (message: MessageShape<D>) => string,
): void {
  const [first, ...others] = messages;
  if (output.format === 'table') for (const message of messages) output.line(lineOf(message));
  else if (first && others.length === 0) printOne(output, view, first, () => {});
  else printList(output, view, messages);
}

/** Renders a table within a larger text: empty without rows, and without columns that have the same value in each row. */
export function renderSubtable<D extends DescMessage>(
  output: Output,
  view: View<D>,
  messages: readonly MessageShape<D>[],
  ...hiddenColumns: readonly string[]
): string {
  const columns = view.columns.filter(({ title }) => !hiddenColumns.includes(title));
  return messages.length === 0 ? '' : renderTable(output, columns, messages);
}

/** Converts a message to its JSON form, including unset and zero fields, so that readers need not know the defaults. */
export function jsonOf<D extends DescMessage>(schema: D, message: MessageShape<D>): JsonValue {
  return toJson(schema, message, { alwaysEmitImplicit: true });
}

/** Prints a value as JSON, as YAML, or through the template of `-o jsonpath=`. */
export function printJson(output: Output, value: JsonValue): void {
  if (output.template) output.line(output.template(value).replace(/\n$/, ''));
  else
    output.line(
      output.format === 'yaml' ? stringify(value, { lineWidth: 0 }).trimEnd() : JSON.stringify(value, null, 2),
    );
}
