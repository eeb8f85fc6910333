// etcd's errors: gRPC code and exact text, by which clients tell them apart.
// Source: etcd v3.6, api/v3rpc/rpctypes/error.go.
import { Metadata, status, type ServiceError } from '@grpc/grpc-js';

const etcdErrors = {
  EmptyKey: [status.INVALID_ARGUMENT, 'etcdserver: key is not provided'],
  KeyNotFound: [status.INVALID_ARGUMENT, 'etcdserver: key not found'],
  ValueProvided: [status.INVALID_ARGUMENT, 'etcdserver: value is provided'],
  LeaseProvided: [status.INVALID_ARGUMENT, 'etcdserver: lease is provided'],
  TooManyOps: [status.INVALID_ARGUMENT, 'etcdserver: too many operations in txn request'],
  DuplicateKey: [status.INVALID_ARGUMENT, 'etcdserver: duplicate key given in txn request'],
  InvalidSortOption: [status.INVALID_ARGUMENT, 'etcdserver: invalid sort option'],
  Compacted: [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted'],
  FutureRevision: [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision is a future revision'],
  NoSpace: [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'],
  LeaseNotFound: [status.NOT_FOUND, 'etcdserver: requested lease not found'],
  LeaseExists: [status.FAILED_PRECONDITION, 'etcdserver: lease already exists'],
  LeaseTTLTooLarge: [status.OUT_OF_RANGE, 'etcdserver: too large lease TTL'],
  RequestTooLarge: [status.INVALID_ARGUMENT, 'etcdserver: request is too large'],
  TooManyRequests: [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'],
  Stopped: [status.UNAVAILABLE, 'etcdserver: server stopped'],
} as const satisfies Record<string, readonly [status, string]>;

export type EtcdErrorReason = keyof typeof etcdErrors;

/** An error of etcd, or of the way to it. `reason` is undefined for what etcd's table does not know. */
export class EtcdError extends Error {
  override readonly name = 'EtcdError';
  readonly code: status;
  readonly reason: EtcdErrorReason | undefined;
  /** grpc-js sends these when a handler throws or calls back with the error. */
  readonly details: string;
  readonly metadata = new Metadata();

  constructor(code: status, details: string, options?: ErrorOptions) {
    super(details, options);
    this.code = code;
    this.details = details;
    this.reason = reasonByText.get(details);
  }
}

const reasonByText = new Map<string, EtcdErrorReason>(Object.entries(etcdErrors).map(([reason, [, text]]) => [text, reason as EtcdErrorReason]));

export function etcdError(reason: EtcdErrorReason): EtcdError {
  const [code, text] = etcdErrors[reason];
  return new EtcdError(code, text);
}

export function fromServiceError(error: ServiceError): EtcdError {
  return new EtcdError(error.code, error.details, { cause: error });
}

/** The revision asked for is older than the last compaction: list again. */
export const isCompacted = (error: unknown): boolean => error instanceof EtcdError && error.reason === 'Compacted';
export const isFutureRevision = (error: unknown): boolean => error instanceof EtcdError && error.reason === 'FutureRevision';
export const isLeaseNotFound = (error: unknown): boolean => error instanceof EtcdError && error.reason === 'LeaseNotFound';
/** etcd could not be reached or did not answer in time; a write may or may not have happened. */
export const isUnavailable = (error: unknown): boolean =>
  error instanceof EtcdError && (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED);

/** A watch cannot go on: what it has not delivered yet was compacted. */
export class WatchCompactedError extends EtcdError {
  readonly compactRevision: number;

  constructor(compactRevision: number) {
    super(...etcdErrors.Compacted);
    this.compactRevision = compactRevision;
  }
}
