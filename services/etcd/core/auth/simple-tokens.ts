// Tokens by which clients show who they are after they gave their password once. Every member learns of a token from
// the log, and counts its time on its own: a token ends when it was not used for a while.
// Source: etcd v3.6, server/auth/simple_token.go.

interface Token {
  readonly username: string;
  /** undefined: not looked at since the log told of it; its time starts then. */
  expiresAtMs: number | undefined;
}

export class SimpleTokens {
  private readonly tokens = new Map<string, Token>();

  get size(): number {
    return this.tokens.size;
  }

  assign(token: string, username: string): void {
    this.tokens.set(token, { username, expiresAtMs: undefined });
  }

  /** Whose token it is; using it makes it last for another `ttlMs`. undefined: nobody's any more. */
  use(token: string, nowMs: number, ttlMs: number): string | undefined {
    const found = this.tokens.get(token);
    if (found === undefined) return undefined;
    if (found.expiresAtMs !== undefined && found.expiresAtMs < nowMs) {
      this.tokens.delete(token);
      return undefined;
    }
    found.expiresAtMs = nowMs + ttlMs;
    return found.username;
  }

  /** To be called now and then. */
  dropExpired(nowMs: number, ttlMs: number): void {
    for (const [token, found] of this.tokens) {
      if (found.expiresAtMs === undefined) found.expiresAtMs = nowMs + ttlMs;
      else if (found.expiresAtMs < nowMs) this.tokens.delete(token);
    }
  }

  invalidateUser(username: string): void {
    for (const [token, found] of this.tokens) if (found.username === username) this.tokens.delete(token);
  }

  clear(): void {
    this.tokens.clear();
  }
}
