import { setTimeout as pause } from 'node:timers/promises';
import { openScreen } from '../output/screen.ts';
import { isUnavailable } from '../session/retry.ts';
import type { Session } from '../session/session.ts';

const intervalMs = 2_000;

/**
 * Does the same again and again until Ctrl-C. On a terminal each answer is drawn over the one before; elsewhere an answer is printed
 * when it differs. A broker that is away for a while is waited for.
 */
export async function runRepeatedly(session: Session, work: (session: Session) => Promise<void>): Promise<never> {
  const screen = session.out.format === 'table' && process.stdout.isTTY ? openScreen() : undefined;
  let before: string | undefined;
  try {
    for (;;) {
      const said: string[] = [];
      const say = (text: string) => void said.push(...text.split('\n'));
      try {
        await work({ ...session, out: { ...session.out, line: say, note: say } });
        const text = said.join('\n');
        if (screen) screen.draw(said.slice(0, screen.rows() - 1));
        else if (text !== before) session.out.line(text);
        before = text;
      } catch (error) {
        if (before === undefined || !isUnavailable(error, undefined)) throw error;
      }
      await pause(intervalMs);
    }
  } finally {
    screen?.close();
  }
}
