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
  out: Output,
  schema: D,
  message: MessageShape<D>,
  item: StreamItem,
): void {
  switch (out.format) {
    case 'json':
      if (out.template) printJson(out, jsonOf(schema, message));
      else out.line(JSON.stringify(jsonOf(schema, message)));
      break;
    case 'yaml':
      out.line('---');
      printJson(out, jsonOf(schema, message));
      break;
    case 'name':
      for (const name of item.names()) out.line(name);
      break;
    case 'table':
      for (const line of item.lines()) out.line(`${out.paint('dim', clockTime())}  ${line}`);
  }
}

/** Returns the UTC time of day: "12:00:00". */
export function clockTime(): string {
  return new Date().toISOString().slice(11, 19);
}
