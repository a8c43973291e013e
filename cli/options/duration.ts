import { InvalidArgumentError } from 'commander';

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Parses a duration such as "90s", "10m", "24h", "7d" or "1h30m" to milliseconds; for commander. */
export function parseDuration(text: string): number {
  if (!/^(\d+[smhd])+$/.test(text)) throw new InvalidArgumentError('use a duration such as 90s, 10m, 24h or 7d.');
  const parts = text.matchAll(/(\d+)([smhd])/g);
  return [...parts].reduce((sum, [, count, unit]) => sum + Number(count) * unitMs[unit as keyof typeof unitMs], 0);
}

/** Parses a time, or a duration before now, to milliseconds since 1970: "2027-01-31T12:00:00Z", "24h"; for commander. */
export function parsePast(text: string): number {
  return parseTime(text, -1);
}

/** Parses a time, or a duration from now, to milliseconds since 1970; for commander. */
export function parseFuture(text: string): number {
  return parseTime(text, 1);
}

function parseTime(text: string, direction: 1 | -1): number {
  if (/^(\d+[smhd])+$/.test(text)) return Date.now() + direction * parseDuration(text);
  // A time without an offset would depend on the machine's time zone.
  const isTime = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const ms = isTime ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('use a duration or a time such as 24h, 30d, 2027-01-31 or 2027-01-31T12:00:00Z.');
  return ms;
}
