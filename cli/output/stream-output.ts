import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import type { Output } from './output.ts';
import { jsonOf, printJson } from './view.ts';

/** Formats a message of a stream: as lines for people, and as the names of the resources in it. */
export interface StreamItem {
  lines(): readonly string[];
  names(): readonly string[];
}

/** Prints one message of a stream: lines with the time for people, one line of JSON, one YAML document, or names. */
export function printStreamItem<D extends DescMessage>(
  output: Output,
  schema: D,
  message: MessageShape<D>,
  item: StreamItem,
): void {
  switch (output.format) {
    case 'json':
      if (output.template) printJson(output, jsonOf(schema, message));
      else output.line(JSON.stringify(jsonOf(schema, message)));
      break;
    case 'yaml':
      output.line('---');
      printJson(output, jsonOf(schema, message));
      break;
    case 'name':
      for (const name of item.names()) output.line(name);
      break;
    case 'table':
      for (const line of item.lines()) output.line(`${output.paint('dim', clockTime())}  ${line}`);
  }
}

/** Returns the UTC time of day: "12:00:00". */
export function clockTime(): string {
  return new Date().toISOString().slice(11, 19);
}
