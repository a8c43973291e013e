/** Exit code of a command: 1 when it failed or was rejected, 2 when it was called incorrectly. */
export type ExitCode = 0 | 1 | 2;

/** An error for the user: the message says what is wrong, and `hint` what to do about it. */
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

/** Creates the failure of a command that was called incorrectly (exit code 2). */
export function usageError(message: string, hint?: string): Failure {
  return new Failure(message, { hint, exitCode: 2 });
}
