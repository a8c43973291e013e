import { InvalidArgumentError } from 'commander';

/** Creates a parser of whole numbers within bounds; for commander. */
export function integerBetween(min: number, max = 999_999_999): (text: string) => number {
  return (text) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= min && number <= max) return number;
    throw new InvalidArgumentError(`it must be a number from ${min} to ${max}.`);
  };
}

/** Parses a count; for commander. */
export const parseCount = integerBetween(0);

/** Parses a limit, where 0 means no limit; for commander. */
export function parseLimit(text: string): number {
  return parseCount(text) || Number.POSITIVE_INFINITY;
}
