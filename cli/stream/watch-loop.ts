import { setTimeout as delay } from 'node:timers/promises';
import { openScreen } from '../output/screen.ts';
import { isUnavailable } from '../session/retry.ts';
import type { Session } from '../session/session.ts';

const intervalMs = 2_000;

/**
 * Repeats an action until Ctrl-C. On a terminal each result replaces the previous one; elsewhere a result is printed when it differs
 * from the previous one. After the first result an unavailable broker is waited for.
 */
export async function runRepeatedly(session: Session, action: (session: Session) => Promise<void>): Promise<never> {
  const screen = session.output.format === 'table' && process.stdout.isTTY ? openScreen() : undefined;
  let previous: string | undefined;
  try {
    for (;;) {
      const lines: string[] = [];
      const capture = (text: string) => void lines.push(...text.split('\n'));
      try {
        await action({ ...session, output: { ...session.output, line: capture, note: capture } });
        const text = lines.join('\n');
        if (screen) screen.draw(lines.slice(0, screen.rows() - 1));
        else if (text !== previous) session.output.line(text);
        previous = text;
      } catch (error) {
        if (previous === undefined || !isUnavailable(error, undefined)) throw error;
      }
      await delay(intervalMs);
    }
  } finally {
    screen?.close();
  }
}
