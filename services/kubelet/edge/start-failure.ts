// Why a container was not started: the reason and message that its waiting state shows.

export class StartFailure extends Error {
  override readonly name = 'StartFailure';
  readonly reason: string;
  /** When to try again; undefined: by the usual back-off of a failed sync. Milliseconds. */
  readonly retryAfterMs: number | undefined;
  /** Text of the Failed event; undefined when the cause has been told already. */
  readonly eventText: string | undefined;

  constructor(reason: string, message: string, options: { readonly retryAfterMs?: number; readonly eventText?: string | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.reason = reason;
    this.retryAfterMs = options.retryAfterMs;
    this.eventText = options.eventText;
  }
}
