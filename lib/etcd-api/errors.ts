// etcd's errors: gRPC code and exact text, by which clients tell them apart.
// Source: etcd v3.6, api/v3rpc/rpctypes/error.go.
import type { ServiceError } from '@grpc/grpc-js';
import { GrpcError, grpcStatus as status, type GrpcStatus } from '#lib/grpc/status.ts';

export const etcdErrors = {
  EmptyKey: [status.INVALID_ARGUMENT, 'etcdserver: key is not provided'],
  KeyNotFound: [status.INVALID_ARGUMENT, 'etcdserver: key not found'],
  ValueProvided: [status.INVALID_ARGUMENT, 'etcdserver: value is provided'],
  LeaseProvided: [status.INVALID_ARGUMENT, 'etcdserver: lease is provided'],
  TooManyOps: [status.INVALID_ARGUMENT, 'etcdserver: too many operations in txn request'],
  DuplicateKey: [status.INVALID_ARGUMENT, 'etcdserver: duplicate key given in txn request'],
  InvalidClientApiVersion: [status.INVALID_ARGUMENT, 'etcdserver: invalid client api version'],
  InvalidSortOption: [status.INVALID_ARGUMENT, 'etcdserver: invalid sort option'],
  Compacted: [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision has been compacted'],
  FutureRevision: [status.OUT_OF_RANGE, 'etcdserver: mvcc: required revision is a future revision'],
  NoSpace: [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'],

  LeaseNotFound: [status.NOT_FOUND, 'etcdserver: requested lease not found'],
  LeaseExists: [status.FAILED_PRECONDITION, 'etcdserver: lease already exists'],
  LeaseTTLTooLarge: [status.OUT_OF_RANGE, 'etcdserver: too large lease TTL'],

  WatchCanceled: [status.CANCELLED, 'etcdserver: watch canceled'],

  MemberExists: [status.FAILED_PRECONDITION, 'etcdserver: member ID already exist'],
  PeerUrlExists: [status.FAILED_PRECONDITION, 'etcdserver: Peer URLs already exists'],
  MemberNotEnoughStarted: [status.FAILED_PRECONDITION, 'etcdserver: re-configuration failed due to not enough started members'],
  MemberBadUrls: [status.INVALID_ARGUMENT, 'etcdserver: given member URLs are invalid'],
  MemberNotFound: [status.NOT_FOUND, 'etcdserver: member not found'],
  MemberNotLearner: [status.FAILED_PRECONDITION, 'etcdserver: can only promote a learner member'],
  LearnerNotReady: [status.FAILED_PRECONDITION, 'etcdserver: can only promote a learner member which is in sync with leader'],
  TooManyLearners: [status.FAILED_PRECONDITION, 'etcdserver: too many learner members in cluster'],
  ClusterIdMismatch: [status.FAILED_PRECONDITION, 'etcdserver: cluster ID mismatch'],

  RequestTooLarge: [status.INVALID_ARGUMENT, 'etcdserver: request is too large'],
  TooManyRequests: [status.RESOURCE_EXHAUSTED, 'etcdserver: too many requests'],

  RootUserNotExist: [status.FAILED_PRECONDITION, 'etcdserver: root user does not exist'],
  RootRoleNotExist: [status.FAILED_PRECONDITION, 'etcdserver: root user does not have root role'],
  UserAlreadyExists: [status.FAILED_PRECONDITION, 'etcdserver: user name already exists'],
  UserEmpty: [status.INVALID_ARGUMENT, 'etcdserver: user name is empty'],
  UserNotFound: [status.FAILED_PRECONDITION, 'etcdserver: user name not found'],
  RoleAlreadyExists: [status.FAILED_PRECONDITION, 'etcdserver: role name already exists'],
  RoleNotFound: [status.FAILED_PRECONDITION, 'etcdserver: role name not found'],
  RoleEmpty: [status.INVALID_ARGUMENT, 'etcdserver: role name is empty'],
  AuthFailed: [status.INVALID_ARGUMENT, 'etcdserver: authentication failed, invalid user ID or password'],
  /** etcd has no entry for this one in its table, so it goes out as it is. */
  NoPasswordUser: [status.UNKNOWN, 'auth: authentication failed, password was given for no password user'],
  PermissionNotGiven: [status.INVALID_ARGUMENT, 'etcdserver: permission not given'],
  PermissionDenied: [status.PERMISSION_DENIED, 'etcdserver: permission denied'],
  RoleNotGranted: [status.FAILED_PRECONDITION, 'etcdserver: role is not granted to the user'],
  PermissionNotGranted: [status.FAILED_PRECONDITION, 'etcdserver: permission is not granted to the role'],
  AuthNotEnabled: [status.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled'],
  InvalidAuthToken: [status.UNAUTHENTICATED, 'etcdserver: invalid auth token'],
  InvalidAuthMgmt: [status.INVALID_ARGUMENT, 'etcdserver: invalid auth management'],
  AuthOldRevision: [status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old'],

  NoLeader: [status.UNAVAILABLE, 'etcdserver: no leader'],
  NotLeader: [status.FAILED_PRECONDITION, 'etcdserver: not leader'],
  LeaderChanged: [status.UNAVAILABLE, 'etcdserver: leader changed'],
  NotCapable: [status.FAILED_PRECONDITION, 'etcdserver: not capable'],
  Stopped: [status.UNAVAILABLE, 'etcdserver: server stopped'],
  Timeout: [status.UNAVAILABLE, 'etcdserver: request timed out'],
  TimeoutDueToLeaderFail: [status.UNAVAILABLE, 'etcdserver: request timed out, possibly due to previous leader failure'],
  TimeoutDueToConnectionLost: [status.UNAVAILABLE, 'etcdserver: request timed out, possibly due to connection lost'],
  TimeoutWaitAppliedIndex: [status.UNAVAILABLE, 'etcdserver: request timed out, waiting for the applied index took too long'],
  Unhealthy: [status.UNAVAILABLE, 'etcdserver: unhealthy cluster'],
  Corrupt: [status.DATA_LOSS, 'etcdserver: corrupt cluster'],
  NotSupportedForLearner: [status.FAILED_PRECONDITION, 'etcdserver: rpc not supported for learner'],
  BadLeaderTransferee: [status.FAILED_PRECONDITION, 'etcdserver: bad leader transferee'],

  WrongDowngradeVersionFormat: [status.INVALID_ARGUMENT, 'etcdserver: wrong downgrade target version format'],
  InvalidDowngradeTargetVersion: [status.INVALID_ARGUMENT, 'etcdserver: invalid downgrade target version'],
  ClusterVersionUnavailable: [status.FAILED_PRECONDITION, 'etcdserver: cluster version not found during downgrade'],
  DowngradeInProcess: [status.FAILED_PRECONDITION, 'etcdserver: cluster has a downgrade job in progress'],
  NoInflightDowngrade: [status.FAILED_PRECONDITION, 'etcdserver: no inflight downgrade job'],

  /** Not in etcd's table either. */
  UnknownMethod: [status.UNKNOWN, 'etcdserver: unknown method'],
  Canceled: [status.CANCELLED, 'etcdserver: request canceled'],
  DeadlineExceeded: [status.DEADLINE_EXCEEDED, 'etcdserver: context deadline exceeded'],
} as const satisfies Record<string, readonly [GrpcStatus, string]>;

export type EtcdErrorReason = keyof typeof etcdErrors;

/** An error of etcd, or of the way to it. `reason` is undefined for what etcd's table does not know. */
export class EtcdError extends GrpcError {
  override readonly name = 'EtcdError';
  readonly reason: EtcdErrorReason | undefined;
  readonly details: string;

  constructor(code: GrpcStatus, details: string, options?: ErrorOptions) {
    super(code, details, options);
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
  return new EtcdError(error.code as GrpcStatus, error.details, { cause: error });
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
