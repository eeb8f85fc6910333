// Errors that a client may see: Kubernetes `Status` objects and the factories that make them in upstream's words.
// Source: apimachinery pkg/api/errors/errors.go.
import { fieldErrorText, type FieldError } from './field-error.ts';

export interface StatusCause {
  readonly reason?: string;
  readonly message?: string;
  readonly field?: string;
}
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: { readonly continue?: string };
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: string;
  readonly details?: StatusDetails;
  readonly code?: number;
}

/** What an error message calls a resource: `pods`, `deployments.apps`. */
export interface ResourceName {
  readonly group: string;
  readonly plural: string;
}
export interface KindName {
  readonly group: string;
  readonly kind: string;
}

export class StatusError extends Error {
  readonly status: Status;
  constructor(status: Status, options?: ErrorOptions) {
    super(status.message ?? status.reason ?? 'unknown', options);
    this.name = 'StatusError';
    this.status = status;
  }
  /** HTTP status code. */
  get code(): number {
    return this.status.code ?? 500;
  }
  /** `NotFound`, `Conflict`, ...; empty where upstream leaves it out. */
  get reason(): string {
    return this.status.reason ?? '';
  }
}

export function failure(code: number, reason: string | undefined, message: string, details?: StatusDetails): StatusError {
  return new StatusError({
    kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', message,
    ...(reason === undefined ? {} : { reason }), ...(details === undefined ? {} : { details }), code,
  });
}

export const qualifiedResource = ({ group, plural }: ResourceName): string => (group === '' ? plural : `${plural}.${group}`);
export const qualifiedKind = ({ group, kind }: KindName): string => (group === '' ? kind : `${kind}.${group}`);

function detailsOf(resource: ResourceName, name: string): StatusDetails {
  return { ...(name === '' ? {} : { name }), ...(resource.group === '' ? {} : { group: resource.group }), kind: resource.plural };
}

export function notFound(resource: ResourceName, name: string): StatusError {
  return failure(404, 'NotFound', `${qualifiedResource(resource)} "${name}" not found`, detailsOf(resource, name));
}
export function alreadyExists(resource: ResourceName, name: string): StatusError {
  return failure(409, 'AlreadyExists', `${qualifiedResource(resource)} "${name}" already exists`, detailsOf(resource, name));
}
export function conflict(resource: ResourceName, name: string, text: string): StatusError {
  return failure(409, 'Conflict', `Operation cannot be fulfilled on ${qualifiedResource(resource)} "${name}": ${text}`, detailsOf(resource, name));
}
export const MODIFIED = 'the object has been modified; please apply your changes to the latest version and try again';

export function invalidObject(kind: KindName, name: string, errors: readonly FieldError[]): StatusError {
  const texts = errors.map(fieldErrorText);
  const joined = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  return failure(422, 'Invalid', `${qualifiedKind(kind)} "${name}" is invalid: ${joined ?? ''}`, {
    ...(name === '' ? {} : { name }), ...(kind.group === '' ? {} : { group: kind.group }), kind: kind.kind,
    causes: errors.map(({ type, field, body }) => ({ reason: type, message: body, field })),
  });
}
export function badRequest(message: string): StatusError {
  return failure(400, 'BadRequest', message);
}
export function forbidden(resource: ResourceName, name: string, text: string): StatusError {
  const subject = name === '' ? qualifiedResource(resource) : `${qualifiedResource(resource)} "${name}"`;
  return failure(403, 'Forbidden', `${subject} is forbidden: ${text}`, detailsOf(resource, name));
}
export function unauthorized(): StatusError {
  return failure(401, 'Unauthorized', 'Unauthorized');
}
export function methodNotAllowed(): StatusError {
  return failure(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {});
}
export function resourceNotServed(): StatusError {
  return failure(404, 'NotFound', 'the server could not find the requested resource', {});
}
export function expired(message: string): StatusError {
  return failure(410, 'Expired', message);
}
export function tooLargeResourceVersion(asked: number, current: number): StatusError {
  return failure(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${current}`, {
    causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }], retryAfterSeconds: 1,
  });
}
export function tooManyRequests(message: string, retryAfterSeconds: number, causes?: readonly StatusCause[]): StatusError {
  return failure(429, 'TooManyRequests', message, { ...(causes === undefined ? {} : { causes }), retryAfterSeconds });
}
export function serviceUnavailable(message: string): StatusError {
  return failure(503, 'ServiceUnavailable', message);
}
export function internalError(text: string): StatusError {
  return failure(500, 'InternalError', `Internal error occurred: ${text}`, { causes: [{ message: text }] });
}

const hasReason = (reason: string) => (error: unknown): error is StatusError => error instanceof StatusError && error.reason === reason;
export const isNotFound = hasReason('NotFound');
export const isAlreadyExists = hasReason('AlreadyExists');
export const isConflict = hasReason('Conflict');
export const isForbidden = hasReason('Forbidden');
export const isInvalid = hasReason('Invalid');
/** 410: a watch or a list position that the server no longer has. */
export const isExpired = (error: unknown): error is StatusError => error instanceof StatusError && error.code === 410;
