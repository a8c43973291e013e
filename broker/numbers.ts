/**
 * Half of what a bigint column holds, which nothing ever counts to. A number that an agent made up must not be above it: it would use
 * up those to come.
 */
export const halfOfBigint = 2n ** 62n;
