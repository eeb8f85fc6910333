// Waiting for a signal to abort, and signals that end with others.
// AbortSignal.any is for parents that live no longer than what is made of them (Node 20 keeps an entry in the parent for each) and
// that somebody else holds: Node 20 forgets an AbortSignal.timeout that only AbortSignal.any refers to, and it never comes.

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Runs `work` with a controller of its own that aborts with `parent`; nothing stays behind in the parent. */
export async function withAbort<T>(parent: AbortSignal | undefined, work: (own: AbortController) => Promise<T>): Promise<T> {
  const own = new AbortController();
  const follow = (): void => own.abort(parent?.reason);
  if (parent?.aborted) follow();
  parent?.addEventListener('abort', follow, { once: true });
  try {
    return await work(own);
  } finally {
    parent?.removeEventListener('abort', follow);
  }
}

/** Runs `work` with a signal that aborts with `parent`, or after `durationMs` with a TimeoutError as AbortSignal.timeout has it. */
export function withDeadline<T>(durationMs: number, parent: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  return withAbort(parent, async (own) => {
    const timer = setTimeout(() => own.abort(new DOMException('The operation was aborted due to timeout', 'TimeoutError')), durationMs);
    timer.unref();
    try {
      return await work(own.signal);
    } finally {
      clearTimeout(timer);
    }
  });
}
