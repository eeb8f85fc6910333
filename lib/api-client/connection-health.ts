// After what silence a connection to the API server is asked whether it lives, and how long the answer may take. As in
// upstream's library, which every component shares, variables decide. Source: apimachinery util/net/http.go, configureHTTP2Transport.

export interface ConnectionHealth {
  /** Milliseconds; 0: never. */
  readonly readIdleMs: number;
  readonly pingMs: number;
}

const DEFAULT_READ_IDLE_SECONDS = 30;
const DEFAULT_PING_SECONDS = 15;

/** What is no whole number counts as not given. */
export function connectionHealth(variables: Readonly<Record<string, string | undefined>>): ConnectionHealth {
  const seconds = (name: string, fallback: number): number => {
    const text = variables[name] ?? '';
    return /^\d+$/.test(text) ? Number(text) : fallback;
  };
  return {
    readIdleMs: 1000 * seconds('HTTP2_READ_IDLE_TIMEOUT_SECONDS', DEFAULT_READ_IDLE_SECONDS),
    pingMs: 1000 * seconds('HTTP2_PING_TIMEOUT_SECONDS', DEFAULT_PING_SECONDS),
  };
}
