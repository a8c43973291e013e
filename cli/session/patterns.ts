/** Descriptions of the regular expressions in the contract. */
const patternDescriptions: Readonly<Record<string, string>> = {
  '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$':
    'lowercase letters, digits and hyphens, and start and end with a letter or a digit',
  '^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$':
    'letters, digits, "-", "_" and ".", and start and end with a letter or a digit',
  '^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$':
    'letters, digits, "-", "_" and ".", start and end with a letter or a digit, and may have a domain and "/" as a prefix',
};

/** Replaces known regular expressions in a message of the broker by their descriptions. */
export function describePatterns(text: string): string {
  return text.replaceAll(/does not match regex pattern `([^`]+)`/g, (match, pattern: string) =>
    pattern in patternDescriptions ? `must consist of ${patternDescriptions[pattern]}` : match,
  );
}
