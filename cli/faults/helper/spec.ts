// What a helper on a host is told: a process that stands in for part of the network for as long as a fault lasts.

export interface HelperSpec {
  /** Of the host; on it the helper listens. */
  readonly address: string;
  /** The nft table that leads packets to the helper: `$0`, `$1` ... are its ports. It is the helper's own and ends with it. */
  readonly table: string;
  readonly rules: readonly string[];
  readonly services: readonly HelperService[];
}

export type HelperService = DnsLiar | SlowRelay;

/** Answers every question with an error. */
export interface DnsLiar {
  readonly kind: 'dns';
  readonly answer: 'servfail' | 'nxdomain';
}

/** Takes connections in the place of a port of the host and hands on what is said, later. */
export interface SlowRelay {
  readonly kind: 'relay';
  readonly toPort: number;
  readonly delayMs: number;
  /** The delay of each piece differs by up to so much, either way. */
  readonly jitterMs: number;
}
