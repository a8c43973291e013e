import type { DescMessage, MessageShape } from '@bufbuild/protobuf';
import { jsonOf, type Output, printJson } from './output.ts';

/** How people read a message of a stream, and what it names. */
export interface StreamItem {
  lines(): readonly string[];
  names(): readonly string[];
}

/** Prints one message of a stream: for people lines with the time, as JSON a line, as YAML a document. */
export function printStreamItem<D extends DescMessage>(
  out: Output,
  schema: D,
  news: MessageShape<D>,
  said: StreamItem,
): void {
  switch (out.format) {
    case 'json':
      if (out.template) printJson(out, jsonOf(schema, news));
      else out.line(JSON.stringify(jsonOf(schema, news)));
      break;
    case 'yaml':
      out.line('---');
      printJson(out, jsonOf(schema, news));
      break;
    case 'name':
      for (const name of said.names()) out.line(name);
      break;
    case 'table':
      for (const line of said.lines()) out.line(`${out.paint('dim', clockTime())}  ${line}`);
  }
}

/** The time of day, as UTC. */
export function clockTime(): string {
  return new Date().toISOString().slice(11, 19);
}
