// A question that many ask at once and again and again, such as whether storage answers: asked once for all of them.

/**
 * Whoever asks while an answer is under way waits for that one; a good answer holds for `freshMs`. A failure is nobody's
 * but theirs who waited for it. Source of the idea: apiserver storagebackend/factory/etcd3.go, where the rate is limited.
 */
export function sharedCheck(check: () => Promise<void>, freshMs: number, nowMs: () => number): () => Promise<void> {
  let goodUntilMs = -Infinity;
  let underWay: Promise<void> | undefined;
  const ask = async (): Promise<void> => {
    try {
      await check();
      goodUntilMs = nowMs() + freshMs;
    } finally {
      underWay = undefined;
    }
  };
  return () => (nowMs() < goodUntilMs ? Promise.resolve() : (underWay ??= ask()));
}
