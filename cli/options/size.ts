import { InvalidArgumentError } from 'commander';

const units: Readonly<Record<string, bigint>> = {
  '': 1n,
  k: 1_000n,
  M: 1_000_000n,
  G: 1_000_000_000n,
  Ki: 1n << 10n,
  Mi: 1n << 20n,
  Gi: 1n << 30n,
  Ti: 1n << 40n,
};

/** Parses a Kubernetes quantity of bytes: "1048576", "500Mi", "10Gi" or "2G"; for commander. */
export function parseSize(text: string): bigint {
  const [, number, unit = ''] = /^(\d{1,15})([kMG]|[KMGT]i)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('use a size such as 1048576, 500Mi, 10Gi or 2G.');
  return BigInt(number) * (units[unit] ?? 1n);
}

/** Formats bytes in the largest exact unit: "500Mi". */
export function sizeText(bytes: bigint): string {
  const unit = ['Ti', 'Gi', 'Mi', 'Ki'].find((name) => bytes > 0n && bytes % (units[name] ?? 1n) === 0n) ?? '';
  return `${bytes / (units[unit] ?? 1n)}${unit}`;
}
