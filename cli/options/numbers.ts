import { InvalidArgumentError } from 'commander';

/** Reads a whole number within these bounds; for an option of commander. */
export function integerBetween(least: number, most = 999_999_999): (text: string) => number {
  return (text) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    throw new InvalidArgumentError(`it is a number from ${least} to ${most}.`);
  };
}

export const parseCount = integerBetween(0);

/** A count, for an option of commander; 0 stands for "all". */
export function parseLimit(text: string): number {
  return parseCount(text) || Number.POSITIVE_INFINITY;
}
