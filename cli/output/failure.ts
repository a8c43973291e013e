/** What a command ends with: 1 means refused or failed, 2 means that it was called wrongly. */
export type ExitCode = 0 | 1 | 2;

/** Something the caller is meant to read: one line that says what is wrong, and one that says what to do about it. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, details: { hint?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.hint = details.hint;
    this.exitCode = details.exitCode ?? 1;
  }
}

/** A command that was called wrongly. */
export function usageError(message: string, hint?: string): Failure {
  return new Failure(message, { hint, exitCode: 2 });
}
