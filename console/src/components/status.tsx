import type { HealthCounts } from '../../../gen/brokkr/v1/health_pb.ts';
import { Health } from '../../../gen/brokkr/v1/health_pb.ts';
import type { PlacementCounts } from '../../../gen/brokkr/v1/placement_pb.ts';
import { type EnumLabel, healthLabels, labelOf, phaseCounts, phaseLabels } from '../enum-labels.ts';
import type { Connection } from '../load.ts';
import { Icon } from './icon.tsx';

/** Shows a value by its icon and text. */
export function Status({ label: { text, tone, icon }, title }: { label: EnumLabel; title?: string | undefined }) {
  return (
    <span className={`status tone-${tone}`} title={title || undefined}>
      <Icon name={icon} />
      {text}
    </span>
  );
}

/** Counts placements by phase: "✓ 12 · ✗ 1". */
export function PhaseTally({ counts }: { counts: PlacementCounts | undefined }) {
  const present = phaseCounts(counts);
  if (present.length === 0) return <span className="faint">none</span>;
  return (
    <span className="tally">
      {present.map(({ phase, count }) => (
        <TallyItem key={phase} label={labelOf(phaseLabels, phase)} count={count} />
      ))}
    </span>
  );
}

/** Counts agents by health. */
export function HealthTally({ counts }: { counts: HealthCounts | undefined }) {
  const { FAILED, DEGRADED, UNKNOWN, PROGRESSING, HEALTHY } = Health;
  const present = [
    { health: FAILED, count: counts?.failed ?? 0 },
    { health: DEGRADED, count: counts?.degraded ?? 0 },
    { health: UNKNOWN, count: counts?.unknown ?? 0 },
    { health: PROGRESSING, count: counts?.progressing ?? 0 },
    { health: HEALTHY, count: counts?.healthy ?? 0 },
  ].filter(({ count }) => count > 0);
  if (present.length === 0) return <span className="faint">not reported</span>;
  return (
    <span className="tally">
      {present.map(({ health, count }) => (
        <TallyItem key={health} label={labelOf(healthLabels, health)} count={count} />
      ))}
    </span>
  );
}

function TallyItem({ label, count }: { label: EnumLabel; count: number }) {
  return <Status label={{ ...label, text: `${count.toLocaleString('en')} ${label.text}` }} />;
}

const connectionLabels: Readonly<Record<Connection, EnumLabel>> = {
  connecting: { text: 'connecting', tone: 'idle', icon: 'clock' },
  live: { text: 'live', tone: 'good', icon: 'dot' },
  lost: { text: 'reconnecting', tone: 'warn', icon: 'warning' },
  ended: { text: 'not live', tone: 'idle', icon: 'ring' },
};

/** Shows whether the view is live. */
export function ConnectionStatus({ connection }: { connection: Connection }) {
  return (
    <span role="status" className="link">
      <Status label={connectionLabels[connection]} />
    </span>
  );
}

/** Shows the first `most` labels and counts the others. */
export function Labels({ labels, limit = 4 }: { labels: readonly string[]; limit?: number }) {
  const more = labels.length - limit;
  return (
    <span className="labels" title={more > 0 ? labels.join(', ') : undefined}>
      {labels.slice(0, limit).map((label) => (
        <span key={label} className="label">
          {label}
        </span>
      ))}
      {more > 0 && <span className="faint">+{more}</span>}
    </span>
  );
}

/** Shows text on one line, with the whole text as a tooltip. */
export function Clipped({ text }: { text: string }) {
  return (
    <span className="clip" title={text}>
      {text}
    </span>
  );
}
