// What the person at the terminal did or lacks, told without a stack trace.

export class UserError extends Error {
  override readonly name = 'UserError';
  readonly exitCode: number;
  /** `exitCode`: 1 the thing could not be done, 2 the command was not understood, 3 there is no running cluster. */
  constructor(message: string, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}
