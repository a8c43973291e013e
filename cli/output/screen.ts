/** A terminal that whole pictures are drawn on, each over the one before. */
export interface Screen {
  /** How many lines fit. */
  rows(): number;
  draw(lines: readonly string[]): void;
  /** Gives the terminal back; the last picture stays. */
  close(): void;
}

const enterSequence = '\x1b[?7l\x1b[2J';
const exitSequence = '\x1b[?7h';
const defaultRows = 24;

/** Takes standard output over, which must be a terminal. A Ctrl-C gives it back before it ends the process. */
export function openScreen(): Screen {
  const { stdout } = process;
  // Too long a line is cut by the terminal itself, which knows what is a colour and what is text.
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
    // Line by line over the old picture, so that nothing flickers.
    draw: (lines) => void stdout.write(`\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\n')}\x1b[J`),
    close,
  };
}

const signals = ['SIGINT', 'SIGTERM'] as const;
