// The seam between the request pipeline and those who decide who is asking and whether they may.

export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AuthenticationRequest {
  /** As node gives them: names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly remoteAddress: string;
  /** DER of what the client presented in the TLS handshake, the leaf first; not verified yet. Empty without a certificate. */
  readonly clientCertificates: () => readonly Uint8Array[];
  /** Stands for the connection, as key of a WeakMap: its certificate does not change. */
  readonly connection: object;
}

export interface Authenticator {
  /** Undefined: no credentials that any method knows (anonymous or 401, as configured). Throws StatusError 401 for bad ones. */
  authenticate(request: AuthenticationRequest): Promise<User | undefined>;
}

export interface AuthorizationAttributes {
  readonly user: User;
  readonly verb: string;
  readonly isResourceRequest: boolean;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Path of a non-resource request. */
  readonly path: string;
  /** Of a list, watch or deletecollection, as in the query; absent without one. */
  readonly fieldSelector?: string;
}

export interface AuthorizationDecision {
  readonly allowed: boolean;
  /** Why; goes into the message of a refusal. */
  readonly reason: string;
}

export interface Authorizer {
  authorize(attributes: AuthorizationAttributes): AuthorizationDecision | Promise<AuthorizationDecision>;
}

export interface Impersonator {
  /** Who the request acts as, by its Impersonate-* headers; throws a forbidden StatusError. */
  impersonate(user: User, request: AuthenticationRequest): Promise<User>;
}

/** Upstream's name for whoever brings no credentials. */
export const ANONYMOUS: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
