import { mkdirSync, statSync, truncateSync } from 'node:fs';
import { dirname } from 'node:path';
import pc from 'picocolors';
import pino, { type Logger } from 'pino';

const LIMIT_BYTES = 16 * 1024 * 1024;
const WARN_LEVEL = 40;
/** A retry fails with the same line each time; the terminal repeats it only after this time. */
const REPEAT_MS = 60_000;
/** Fields that every line has, which the terminal formats in its own way. */
const framingFields = new Set(['level', 'time', 'msg', 'part']);

/**
 * Creates a logger that writes lines from info to a file, and those from warn to `terminal` too, as one readable line
 * each.
 */
export function openLog(file: string, part: string, terminal: (line: string) => void): Logger {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > LIMIT_BYTES) truncateSync(file);
  const toFile = pino.destination({ dest: file, append: true, sync: true, mode: 0o600 });
  let last = { text: '', at: 0 };
  const write = (line: string) => {
    const text = formatLine(part, line);
    if (text === last.text && Date.now() - last.at < REPEAT_MS) return;
    last = { text, at: Date.now() };
    terminal(text);
  };
  return pino(
    { level: 'info', base: undefined, timestamp: pino.stdTimeFunctions.isoTime },
    pino.multistream([
      { level: 'info', stream: toFile },
      { level: 'warn', stream: { write } },
    ]),
  );
}

function formatLine(part: string, line: string): string {
  const entry = JSON.parse(line) as Record<string, unknown>;
  const paint = Number(entry.level) > WARN_LEVEL ? pc.red : pc.yellow;
  const fields = Object.entries(entry)
    .filter(([name]) => !framingFields.has(name))
    .map(([name, value]) => `${name}=${shortText(value)}`);
  return [paint(`${part}:`), String(entry.msg ?? ''), pc.dim(fields.join(' '))].join(' ').trimEnd();
}

/** The terminal shows an error's message only; the stack is in the file. */
function shortText(value: unknown): string {
  const message = typeof value === 'object' && value !== null && 'message' in value ? value.message : value;
  const text = typeof message === 'string' ? message : JSON.stringify(message);
  return text.replaceAll(/\s+/g, ' ').slice(0, 300);
}
