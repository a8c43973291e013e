/** What a command ends with: 1 means refused or failed, 2 means that it was called wrongly. */
export type ExitCode = 0 | 1 | 2;

/** Something the caller is meant to read: one line that says what is wrong, and one that says what to do about it. */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly next: string | undefined;
  readonly exitCode: ExitCode;

  constructor(message: string, details: { next?: string; exitCode?: ExitCode; cause?: unknown } = {}) {
    super(message, { cause: details.cause });
    this.next = details.next;
    this.exitCode = details.exitCode ?? 1;
  }
}

/** A command that was called wrongly. */
export function usage(message: string, next?: string): Failure {
  return new Failure(message, { next, exitCode: 2 });
}
