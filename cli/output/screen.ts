/** A terminal on which each drawing replaces the previous one. */
export interface Screen {
  /** Returns the number of lines that fit. */
  rows(): number;
  /** Replaces the previous drawing. */
  draw(lines: readonly string[]): void;
  /** Restores the terminal and leaves the last drawing visible. */
  close(): void;
}

const enterSequence = '\x1b[?7l\x1b[2J';
const exitSequence = '\x1b[?7h';
const defaultRows = 24;

/** Takes over standard output, which must be a terminal. SIGINT and SIGTERM restore it before they end the process. */
export function openScreen(): Screen {
  const { stdout } = process;
  // Turns line wrapping off: the terminal truncates long lines itself and can tell colour sequences from text.
  stdout.write(enterSequence);
  const close = () => {
    for (const signal of signals) process.removeListener(signal, stop);
    stdout.write(`${exitSequence}\n`);
  };
  const stop = (signal: NodeJS.Signals) => {
    close();
    process.kill(process.pid, signal);
  };
  for (const signal of signals) process.once(signal, stop);
  return {
    rows: () => stdout.rows || defaultRows,
    // Overwriting line by line avoids flicker.
    draw: (lines) => void stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\n')}\x1b[J`),
    close,
  };
}

const signals = ['SIGINT', 'SIGTERM'] as const;
