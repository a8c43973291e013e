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

/** Bytes of "1048576", "500Mi", "10Gi" or "2G", as Kubernetes writes them; for an option of commander. */
export function parseSize(text: string): bigint {
  const [, number, unit = ''] = /^(\d{1,15})([kMG]|[KMGT]i)?$/.exec(text) ?? [];
  if (number === undefined) throw new InvalidArgumentError('write it as 1048576, 500Mi, 10Gi or 2G.');
  return BigInt(number) * (units[unit] ?? 1n);
}

/** In the largest unit that is exact: "500Mi". */
export function sizeText(bytes: bigint): string {
  const unit = ['Ti', 'Gi', 'Mi', 'Ki'].find((name) => bytes > 0n && bytes % (units[name] ?? 1n) === 0n) ?? '';
  return `${bytes / (units[unit] ?? 1n)}${unit}`;
}
