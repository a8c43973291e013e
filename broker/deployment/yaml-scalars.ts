import type { ScalarTag } from 'yaml';

/**
 * Resolves unquoted YAML scalars as kubectl does, which reads YAML through sigs.k8s.io/yaml and so through go-yaml v2: a number needs a
 * digit first, underscores are skipped, what overflows stays text, and timestamps and base-60 numbers are text.
 */

/** The only scalars that can be numbers: a sign, a digit or a point comes first. */
const numeric = /^[-+.0-9]/;

/** One tag for scalars that name none, and the two that a scalar may name. */
export const numberTags: readonly ScalarTag[] = [
  { tag: 'tag:brokkr.io,2026:number', default: true, test: numeric, resolve: resolveNumber },
  { tag: 'tag:yaml.org,2002:int', resolve: resolveInteger },
  { tag: 'tag:yaml.org,2002:float', resolve: resolveFloat },
];

function resolveInteger(text: string, fail: (message: string) => void): unknown {
  const value = numeric.test(text) ? resolveNumber(text) : text;
  if (typeof value !== 'bigint') fail('is not an integer');
  return value;
}

function resolveFloat(text: string, fail: (message: string) => void): unknown {
  const value = numeric.test(text) ? resolveNumber(text) : text;
  if (typeof value === 'string' || (typeof value === 'bigint' && value > maxInt64)) fail('is not a float');
  return Number(value);
}

const specials: ReadonlyMap<string, number> = new Map(
  (
    [
      [['.nan', '.NaN', '.NAN'], Number.NaN],
      [['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'], Number.POSITIVE_INFINITY],
      [['-.inf', '-.Inf', '-.INF'], Number.NEGATIVE_INFINITY],
    ] as const
  ).flatMap(([spellings, value]) => spellings.map((spelling) => [spelling, value] as const)),
);

const maxUint64 = (1n << 64n) - 1n;
const minInt64 = -(1n << 63n);
export const maxInt64 = -minInt64 - 1n;

/** Resolves one plain scalar to an integer (bigint), a float (number) or, where go-yaml sees no number, the text itself. */
export function resolveNumber(text: string): bigint | number | string {
  const special = specials.get(text);
  if (special !== undefined) return special;
  // A scalar that starts with a point goes straight to Go's ParseFloat, which takes an underscore only between digits.
  if (text.startsWith('.') && /(?<!\d)_|_(?!\d)/.test(text)) return text;
  const plain = text.replaceAll('_', '');
  return parseInteger(plain) ?? parseFloatText(plain) ?? text;
}

const integerShape = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|([1-9][0-9]*|0))$/;

/** Reads an integer as Go's strconv does with base 0; undefined for another text and for one outside int64 and uint64. */
function parseInteger(plain: string): bigint | undefined {
  const match = integerShape.exec(plain);
  if (!match) return undefined;
  const [, sign, hex, binary, octal, decimal] = match;
  const prefixed = hex ? `0x${hex}` : binary ? `0b${binary}` : octal ? `0o${octal}` : decimal!;
  // Longer texts are out of range in every base; converting them costs more than linear time.
  if (prefixed.length > 100 && /[1-9a-f]/i.test(prefixed.slice(2, -66))) return undefined;
  const magnitude = BigInt(prefixed);
  if (sign === '-') return -magnitude >= minInt64 ? -magnitude : undefined;
  // ParseUint, which reads what is beyond int64, takes no sign.
  return magnitude <= (sign === '+' ? maxInt64 : maxUint64) ? magnitude : undefined;
}

const floatShape = /^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$/;

/** Reads a float by go-yaml's pattern; undefined for another text and for one that overflows. */
function parseFloatText(plain: string): number | undefined {
  if (!floatShape.test(plain)) return undefined;
  const value = Number(plain);
  return Number.isFinite(value) ? value : undefined;
}

/**
 * Writes a float as the key that kubectl makes of it: Go's shortest form of a 32-bit float (`FormatFloat(f, 'g', -1, 32)`), with an
 * exponent from a million on and below 0.0001.
 */
export function floatKey(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return '.nan';
  if (!Number.isFinite(single)) return single < 0 ? '-.inf' : '.inf';
  if (single === 0) return Object.is(single, -0) ? '-0' : '0';
  let digits = 1;
  while (digits < 9 && Math.fround(Number(single.toPrecision(digits))) !== single) digits += 1;
  const [mantissa = '', exponent = '0'] = single.toExponential(digits - 1).split('e');
  const power = Number(exponent);
  const significant = mantissa.replace(/[-.]/g, '').replace(/0+$/, '');
  const sign = single < 0 ? '-' : '';
  if (power < -4 || power >= 6) {
    const fraction = significant.length > 1 ? `.${significant.slice(1)}` : '';
    const size = String(Math.abs(power)).padStart(2, '0');
    return `${sign}${significant[0]}${fraction}e${power < 0 ? '-' : '+'}${size}`;
  }
  if (power < 0) return `${sign}0.${'0'.repeat(-power - 1)}${significant}`;
  if (significant.length <= power + 1) return `${sign}${significant.padEnd(power + 1, '0')}`;
  return `${sign}${significant.slice(0, power + 1)}.${significant.slice(power + 1)}`;
}
