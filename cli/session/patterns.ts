/** What the contract's patterns ask for, as people say it. */
const patternDescriptions: Readonly<Record<string, string>> = {
  '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$': 'small letters, digits and hyphens, with no hyphen at an end',
  '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$':
    'letters, digits, "-", "_" and ".", with a letter or a digit at both ends',
  '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$':
    'letters, digits, "-", "_" and ".", with a letter or a digit at both ends, and maybe a domain and "/" before it',
};

/** The broker's words about a field, without the regular expressions that are known here. */
export function describePatterns(text: string): string {
  return text.replaceAll(/does not match regex pattern `([^`]+)`/g, (said, pattern: string) =>
    pattern in patternDescriptions ? `is not made of ${patternDescriptions[pattern]}` : said,
  );
}
