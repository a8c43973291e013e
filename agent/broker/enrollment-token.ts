/** Settings of an agent that obtains its key itself. */
export interface Enrollment {
  /** The token of an enrollment. A secret: never logged. */
  readonly token: string | undefined;
  /** The file that holds the token. */
  readonly tokenFile: string | undefined;
  /** Name of the Secret, in the agent's namespace, in which the key is kept. */
  readonly secret: string;
}

/** Returns whether a text has the form of an enrollment token. */
export function isEnrollmentToken(text: string): boolean {
  return /^brokkr_en[0-9A-Za-z]+_[0-9A-Za-z]+$/.test(text);
}
