import type { HealthCounts } from '../../../gen/brokkr/v1/health_pb.ts';
import { Health } from '../../../gen/brokkr/v1/health_pb.ts';
import type { PlacementCounts } from '../../../gen/brokkr/v1/placement_pb.ts';
import { healths, phaseCounts, phases, type Word, wordOf } from '../enum-labels.ts';
import type { Link } from '../load.ts';
import { Icon } from './icon.tsx';

/** A value by its sign and word. */
export function Status({ word: { word, tone, icon }, title }: { word: Word; title?: string | undefined }) {
  return (
    <span className={`status tone-${tone}`} title={title || undefined}>
      <Icon name={icon} />
      {word}
    </span>
  );
}

/** "✓ 12 · ✗ 1": how many placements are in which phase. */
export function Phases({ counts }: { counts: PlacementCounts | undefined }) {
  const some = phaseCounts(counts);
  if (some.length === 0) return <span className="faint">none</span>;
  return (
    <span className="tally">
      {some.map(({ phase, count }) => (
        <Count key={phase} word={wordOf(phases, phase)} count={count} />
      ))}
    </span>
  );
}

/** How many agents are in which health. */
export function Healths({ counts }: { counts: HealthCounts | undefined }) {
  const { FAILED, DEGRADED, UNKNOWN, PROGRESSING, HEALTHY } = Health;
  const some = [
    { health: FAILED, count: counts?.failed ?? 0 },
    { health: DEGRADED, count: counts?.degraded ?? 0 },
    { health: UNKNOWN, count: counts?.unknown ?? 0 },
    { health: PROGRESSING, count: counts?.progressing ?? 0 },
    { health: HEALTHY, count: counts?.healthy ?? 0 },
  ].filter(({ count }) => count > 0);
  if (some.length === 0) return <span className="faint">not reported</span>;
  return (
    <span className="tally">
      {some.map(({ health, count }) => (
        <Count key={health} word={wordOf(healths, health)} count={count} />
      ))}
    </span>
  );
}

function Count({ word, count }: { word: Word; count: number }) {
  return <Status word={{ ...word, word: `${count.toLocaleString('en')} ${word.word}` }} />;
}

const links: Readonly<Record<Link, Word>> = {
  connecting: { word: 'connecting', tone: 'idle', icon: 'clock' },
  live: { word: 'live', tone: 'good', icon: 'dot' },
  lost: { word: 'reconnecting', tone: 'warn', icon: 'warning' },
};

/** Whether what is shown is as it is now. */
export function LinkStatus({ link }: { link: Link }) {
  return (
    <span role="status" className="link">
      <Status word={links[link]} />
    </span>
  );
}

/** Labels, as many as fit. */
export function Labels({ labels, most = 4 }: { labels: readonly string[]; most?: number }) {
  const more = labels.length - most;
  return (
    <span className="labels" title={more > 0 ? labels.join(', ') : undefined}>
      {labels.slice(0, most).map((label) => (
        <span key={label} className="label">
          {label}
        </span>
      ))}
      {more > 0 && <span className="faint">+{more}</span>}
    </span>
  );
}

/** A text of one line, whole on pointing. */
export function Clipped({ text }: { text: string }) {
  return (
    <span className="clip" title={text}>
      {text}
    </span>
  );
}
