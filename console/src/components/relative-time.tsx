import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { useSyncExternalStore } from 'react';

let now = Date.now();
const listeners = new Set<() => void>();
let timer: number | undefined;

/** Shares one timer between all times on the page. */
function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  timer ??= window.setInterval(() => {
    now = Date.now();
    for (const each of listeners) each();
  }, 1_000);
  return () => {
    listeners.delete(listener);
    if (listeners.size > 0) return;
    window.clearInterval(timer);
    timer = undefined;
  };
}

/** Shows a relative time such as "3 min ago", with the exact time as a tooltip. */
export function RelativeTime({ time, none = '' }: { time: Timestamp | undefined; none?: string }) {
  // The snapshot is the text, so that only times whose text changed are rendered again.
  const words = useSyncExternalStore(subscribe, () =>
    time ? relativeText(timestampDate(time).getTime() - now) : none,
  );
  if (!time) return <span className="faint">{none}</span>;
  const date = timestampDate(time);
  return (
    <time dateTime={date.toISOString()} title={date.toLocaleString()}>
      {words}
    </time>
  );
}

const units = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const;
const format = new Intl.RelativeTimeFormat('en', { numeric: 'always', style: 'short' });

function relativeText(differenceMs: number): string {
  const [unit, ms] = units.find(([, each]) => Math.abs(differenceMs) >= each) ?? ['second', 1_000];
  const amount = Math.trunc(differenceMs / ms);
  return unit === 'second' && Math.abs(amount) < 5 ? 'just now' : format.format(amount, unit);
}
