// Who calls: what the headers of a call and its connection tell.

export interface Caller {
  /** First value of a header; names in lower case. */
  header(name: string): string | undefined;
  /** Of the client's certificate, when it showed one that was verified. */
  readonly commonName: string | undefined;
  /** Aborts when the caller goes, or its time is over; the reason is a GrpcError. */
  readonly signal: AbortSignal;
}
