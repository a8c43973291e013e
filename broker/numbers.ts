/**
 * Half of the range of a bigint column, which no counter ever reaches. Numbers from agents must not exceed it, so that a made-up one
 * does not exhaust the range.
 */
export const halfOfBigint = 2n ** 62n;
