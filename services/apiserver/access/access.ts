// Puts together what decides about access, from contents of files and flags: authenticator, authorizer, impersonator, the
// guard of RBAC writes, and the routes and kinds that belong to them.
import type { ApiserverExtension } from '../edge/extension.ts';
import type { Authenticator, Authorizer, Impersonator } from '../core/access.ts';
import type { AdmissionPlugin } from '../core/admission/admission.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { createAuthenticator, type RequestHeaderOptions } from './authentication.ts';
import { createAuthorizer } from './authorization.ts';
import { bootstrapUser } from './bootstrap-token-authentication.ts';
import { parseCertificates } from './certificate-authentication.ts';
import { createImpersonator } from './impersonation.ts';
import { NodeGraph } from './node-authorization.ts';
import { connectHandlers } from './proxy/connect-handlers.ts';
import { createEscalationGuard, escalationPlugin } from './rbac-authorization.ts';
import { RbacIndex } from './rbac-index.ts';
import { reviewHandlers } from './reviews.ts';
import { ServiceAccountTokens } from './service-account-authentication.ts';
import { jsonWebKeySet, signingKey, verificationKeys } from './service-account-token.ts';
import { tokenRequestHandler } from './token-request.ts';

/** Contents of files are PEM text; empty where the flag was not given. */
export interface AccessOptions {
  readonly objects: ObjectReader;
  readonly nowMs: () => number;
  /** --client-ca-file */
  readonly clientCaPem: string;
  /** --requestheader-client-ca-file and its companions. */
  readonly requestHeaderCaPem?: string;
  readonly requestHeaderAllowedNames?: readonly string[];
  readonly requestHeaderUsernameHeaders?: readonly string[];
  readonly requestHeaderGroupHeaders?: readonly string[];
  readonly requestHeaderUidHeaders?: readonly string[];
  readonly requestHeaderExtraHeadersPrefix?: readonly string[];
  /** --service-account-key-file, all of them. */
  readonly serviceAccountKeyPems: readonly string[];
  /** --service-account-signing-key-file */
  readonly serviceAccountSigningKeyPem: string;
  /** --service-account-issuer: the first one issues. */
  readonly serviceAccountIssuers: readonly string[];
  /** --service-account-extend-token-expiration; default true. */
  readonly serviceAccountExtendTokenExpiration?: boolean;
  /** --service-account-max-token-expiration; 0 or absent: no limit. */
  readonly serviceAccountMaxTokenExpirationMs?: number;
  /** --service-account-jwks-uri; default: ISSUER/openid/v1/jwks. */
  readonly serviceAccountJwksUri?: string;
  /** --api-audiences; default: the issuer. */
  readonly apiAudiences?: readonly string[];
  /** --authorization-mode */
  readonly authorizationModes: readonly string[];
  /** --enable-bootstrap-token-auth; default false. */
  readonly enableBootstrapTokenAuth?: boolean;
  /** --anonymous-auth; default true. */
  readonly anonymousAuth?: boolean;
  /** --kubelet-client-certificate, --kubelet-client-key, --kubelet-certificate-authority */
  readonly kubeletClientCertPem: string;
  readonly kubeletClientKeyPem: string;
  readonly kubeletCaPem: string;
  /** --kubelet-preferred-address-types */
  readonly kubeletPreferredAddressTypes: readonly string[];
  /** In [0, 1): which endpoint a proxied service is reached at. */
  readonly fraction: () => number;
}

export interface Access {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly impersonator: Impersonator;
  /** Refuses RBAC writes that would grant more than their user holds. Last of the admission plugins. */
  readonly escalationPlugin: AdmissionPlugin;
  readonly extension: ApiserverExtension;
}

export function createAccess(options: AccessOptions): Access {
  const { objects, nowMs } = options;
  const signing = signingKey(options.serviceAccountSigningKeyPem);
  const keys = options.serviceAccountKeyPems.flatMap(verificationKeys);
  const issuers = options.serviceAccountIssuers;
  const issuer = issuers[0] ?? '';
  if (issuer === '') throw new Error('--service-account-issuer is a required flag');
  const audiences = (options.apiAudiences ?? []).length > 0 ? options.apiAudiences ?? [] : [issuer];
  const rbac = new RbacIndex(objects);
  const nodes = new NodeGraph(objects);
  const tokens = new ServiceAccountTokens({ keys, issuers, objects, nowMs });
  const authorizer = createAuthorizer({ modes: options.authorizationModes, rbac, nodes });
  return {
    authenticator: createAuthenticator({
      clientAuthorities: parseCertificates(options.clientCaPem), requestHeader: requestHeaderOptions(options), tokens, audiences, nowMs,
      anonymousAuth: options.anonymousAuth ?? true,
      bootstrapTokens: options.enableBootstrapTokenAuth === true ? (token) => bootstrapUser(token, objects, nowMs()) : undefined,
    }),
    authorizer,
    impersonator: createImpersonator(authorizer),
    escalationPlugin: escalationPlugin(createEscalationGuard(rbac, authorizer)),
    extension: {
      objectHandlers: [
        ...reviewHandlers({ authorizer, rbac, tokens, audiences }),
        tokenRequestHandler({
          signingKey: signing, issuer, audiences, nowMs, extendExpiration: options.serviceAccountExtendTokenExpiration ?? true,
          maxExpirationSeconds: Math.floor((options.serviceAccountMaxTokenExpirationMs ?? 0) / 1000),
        }),
      ],
      connectHandlers: connectHandlers({
        certPem: options.kubeletClientCertPem, keyPem: options.kubeletClientKeyPem, caPem: options.kubeletCaPem,
        preferredAddressTypes: options.kubeletPreferredAddressTypes, authorizer, fraction: options.fraction,
      }),
      ...discoveryOfIssuer(issuer, options.serviceAccountJwksUri || `${issuer}/openid/v1/jwks`, jsonWebKeySet(keys), [...new Set(keys.map(({ algorithm }) => algorithm))]),
    },
  };
}

function requestHeaderOptions(options: AccessOptions): RequestHeaderOptions | undefined {
  if (!options.requestHeaderCaPem) return undefined;
  return {
    authorities: parseCertificates(options.requestHeaderCaPem), allowedNames: options.requestHeaderAllowedNames ?? [],
    usernameHeaders: options.requestHeaderUsernameHeaders ?? ['X-Remote-User'], groupHeaders: options.requestHeaderGroupHeaders ?? ['X-Remote-Group'],
    uidHeaders: options.requestHeaderUidHeaders ?? [], extraHeaderPrefixes: options.requestHeaderExtraHeadersPrefix ?? ['X-Remote-Extra-'],
  };
}

/** Source: pkg/serviceaccount/openidmetadata.go, pkg/routes/openidmetadata.go. */
function discoveryOfIssuer(issuer: string, jwksUri: string, keySet: object, algorithms: readonly string[]): Pick<ApiserverExtension, 'routes' | 'paths'> {
  const configuration = JSON.stringify({
    issuer, jwks_uri: jwksUri, response_types_supported: ['id_token'], subject_types_supported: ['public'], id_token_signing_alg_values_supported: algorithms,
  });
  const jwks = JSON.stringify(keySet);
  return {
    paths: ['/.well-known/openid-configuration', '/openid/v1/jwks'],
    routes: (app) => {
      const cache = 'public, max-age=3600';
      app.get('/.well-known/openid-configuration', (_request, reply) => reply.header('content-type', 'application/json').header('cache-control', cache).send(configuration));
      app.get('/openid/v1/jwks', (_request, reply) => reply.header('content-type', 'application/jwk-set+json').header('cache-control', cache).send(jwks));
    },
  };
}
