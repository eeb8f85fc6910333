// serviceaccounts/NAME/token: issues a token for an account, bound to a pod, secret or node.
// Source: pkg/registry/core/serviceaccount/storage/token.go, Kubernetes 1.36.
import { randomUUID } from 'node:crypto';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { secretKind } from '#lib/kinds/core/secret.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { BoundObjectReference, TokenRequest } from '#lib/kinds/types/authentication-v1.ts';
import { invalid } from '#lib/machinery/field-error.ts';
import { badRequest, conflict, invalidObject, notFound } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import type { ObjectHandler } from '../edge/extension.ts';
import { serviceAccountUserName, signToken, type BoundClaims, type SigningKey } from './service-account-token.ts';

const DEFAULT_EXPIRATION_SECONDS = 3600;
const MIN_EXPIRATION_SECONDS = 600;
const MAX_EXPIRATION_SECONDS = 2 ** 32;
/** What the ServiceAccount admission asks for: such tokens live on for a year, for clients that do not read them again. Seconds. */
const WARN_ONLY_EXPIRATION_SECONDS = 3607;
const EXTENDED_EXPIRATION_SECONDS = 365 * 24 * 3600;

export interface TokenIssuerOptions {
  readonly signingKey: SigningKey;
  readonly issuer: string;
  /** Audiences of the API server, for requests that name none. */
  readonly audiences: readonly string[];
  readonly extendExpiration: boolean;
  /** 0: no limit. */
  readonly maxExpirationSeconds: number;
  readonly nowMs: () => number;
}

export function tokenRequestHandler(options: TokenIssuerOptions): ObjectHandler {
  return {
    group: '', resource: 'serviceaccounts', subresource: 'token', verb: 'create',
    body: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest', schema: 'io.k8s.api.authentication.v1.TokenRequest' },
    handle: async ({ info, objects }, object) => await issueToken(options, objects, info.namespace, info.name, object as TokenRequest),
  };
}

async function issueToken(options: TokenIssuerOptions, objects: ObjectReader, namespace: string, name: string, request: TokenRequest): Promise<TokenRequest> {
  const expirationSeconds = Math.min(request.spec.expirationSeconds ?? DEFAULT_EXPIRATION_SECONDS, options.maxExpirationSeconds || Infinity);
  validate(request);
  const account = await objects.read(serviceAccountKind, namespace, name);
  if (!account) throw notFound(serviceAccountKind, name);
  const bound = request.spec.boundObjectRef ? await bind(objects, namespace, name, request.spec.boundObjectRef) : {};
  const audiences = (request.spec.audiences ?? []).length > 0 ? request.spec.audiences ?? [] : [...options.audiences];
  const now = Math.floor(options.nowMs() / 1000);
  const isForApi = audiences.every((audience) => options.audiences.includes(audience));
  const isExtended = options.extendExpiration && expirationSeconds === WARN_ONLY_EXPIRATION_SECONDS && 'pod' in bound && isForApi;
  const token = signToken({
    aud: audiences, exp: now + (isExtended ? EXTENDED_EXPIRATION_SECONDS : expirationSeconds), iat: now, iss: options.issuer, jti: randomUUID(),
    'kubernetes.io': {
      namespace, ...bound, serviceaccount: { name, uid: account.metadata.uid ?? '' }, ...(isExtended ? { warnafter: now + expirationSeconds } : {}),
    },
    nbf: now, sub: serviceAccountUserName(namespace, name),
  }, options.signingKey);
  return {
    ...request,
    metadata: { ...request.metadata, name, namespace, creationTimestamp: rfc3339(now) },
    spec: { ...request.spec, audiences, expirationSeconds },
    status: { token, expirationTimestamp: rfc3339(now + expirationSeconds) },
  };
}

const rfc3339 = (seconds: number): string => new Date(seconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z');

function validate({ spec }: TokenRequest): void {
  const seconds = spec.expirationSeconds ?? DEFAULT_EXPIRATION_SECONDS;
  const field = 'spec.expirationSeconds';
  const errors = [
    ...(seconds < MIN_EXPIRATION_SECONDS ? [invalid(field, seconds, 'may not specify a duration less than 10 minutes')] : []),
    ...(seconds > MAX_EXPIRATION_SECONDS ? [invalid(field, seconds, 'may not specify a duration larger than 2^32 seconds')] : []),
  ];
  if (errors.length > 0) throw invalidObject({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', errors);
}

type Bound = Pick<BoundClaims, 'pod' | 'secret' | 'node'>;

async function bind(objects: ObjectReader, namespace: string, account: string, ref: BoundObjectReference): Promise<Bound> {
  const name = ref.name ?? '';
  const group = (ref.apiVersion ?? '').includes('/') ? (ref.apiVersion ?? '').split('/')[0] ?? '' : '';
  const kind = group === '' ? ref.kind : undefined;
  switch (kind) {
    case 'Pod': {
      const pod = await mustRead(objects, podKind, namespace, name, ref);
      const podAccount = pod.spec?.serviceAccountName ?? '';
      if (podAccount !== account) {
        throw badRequest(`cannot bind token for serviceaccount ${JSON.stringify(account)} to pod running with different serviceaccount name.`);
      }
      const nodeName = pod.spec?.nodeName ?? '';
      const node = nodeName === '' ? undefined : objects.cached(nodeKind, '', nodeName) ?? await objects.read(nodeKind, '', nodeName);
      const nodeUid = node?.metadata.uid;
      return {
        pod: { name, uid: pod.metadata.uid ?? '' },
        ...(nodeName === '' ? {} : { node: { name: nodeName, ...(nodeUid === undefined ? {} : { uid: nodeUid }) } }),
      };
    }
    case 'Secret': return { secret: { name, uid: (await mustRead(objects, secretKind, namespace, name, ref)).metadata.uid ?? '' } };
    case 'Node': return { node: { name, uid: (await mustRead(objects, nodeKind, '', name, ref)).metadata.uid ?? '' } };
    default: throw badRequest(`cannot bind token to object of type ${group}/${(ref.apiVersion ?? '').split('/').at(-1) ?? ''}, Kind=${ref.kind ?? ''}`);
  }
}

async function mustRead<T extends KubernetesObject>(objects: ObjectReader, kind: Kind<T>, namespace: string, name: string, ref: BoundObjectReference): Promise<Readonly<T>> {
  const object = await objects.read(kind, namespace, name);
  if (!object) throw notFound(kind, name);
  const uid = object.metadata.uid ?? '';
  if (ref.uid && ref.uid !== uid) {
    throw conflict({ group: kind.group, plural: kind.kind }, name,
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`);
  }
  return object;
}
