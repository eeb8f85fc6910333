// Kinds that only ask: who am I, whose token is this, may somebody do something. Answered, never stored.
// Source: pkg/registry/{authentication,authorization}, Kubernetes 1.36.
import { localSubjectAccessReviewKind } from '#lib/kinds/authorization/local-subject-access-review.ts';
import { selfSubjectAccessReviewKind } from '#lib/kinds/authorization/self-subject-access-review.ts';
import { selfSubjectRulesReviewKind } from '#lib/kinds/authorization/self-subject-rules-review.ts';
import { subjectAccessReviewKind } from '#lib/kinds/authorization/subject-access-review.ts';
import { selfSubjectReviewKind } from '#lib/kinds/authentication/self-subject-review.ts';
import { tokenReviewKind } from '#lib/kinds/authentication/token-review.ts';
import type { Kind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { TokenReview, UserInfo } from '#lib/kinds/types/authentication-v1.ts';
import type {
  LocalSubjectAccessReview, NonResourceAttributes, ResourceAttributes, SelfSubjectAccessReview, SelfSubjectRulesReview, SubjectAccessReview,
  SubjectAccessReviewSpec, SubjectAccessReviewStatus,
} from '#lib/kinds/types/authorization-v1.ts';
import { invalid, type FieldError } from '#lib/machinery/field-error.ts';
import { badRequest, invalidObject } from '#lib/machinery/status-error.ts';
import type { AuthorizationAttributes, Authorizer, User } from '../core/access.ts';
import type { ObjectHandler, ResourceCall } from '../edge/extension.ts';
import { withAuthenticatedGroup } from './authentication.ts';
import { nodeIdentity } from './node-authorization.ts';
import { aggregate } from './rbac-authorization.ts';
import type { RbacIndex } from './rbac-index.ts';
import { TokenError, type ServiceAccountTokens } from './service-account-authentication.ts';

export interface ReviewOptions {
  readonly authorizer: Authorizer;
  readonly rbac: RbacIndex;
  readonly tokens: ServiceAccountTokens;
  readonly audiences: readonly string[];
}

export function reviewHandlers(options: ReviewOptions): ObjectHandler[] {
  const decide = (attributes: AuthorizationAttributes) => decideReview(options.authorizer, attributes);
  return [
    reviewOf(tokenReviewKind, (_call, review) => reviewToken(options, review)),
    reviewOf(selfSubjectReviewKind, (call, review) => Promise.resolve({ ...review, status: { userInfo: userInfo(call.user) } })),
    reviewOf(subjectAccessReviewKind, async (_call, review: SubjectAccessReview) => {
      refuseInvalid('SubjectAccessReview', subjectErrors(review.spec));
      return { ...review, status: await decide(attributesOf(userOfSpec(review.spec), review.spec)) };
    }),
    reviewOf(localSubjectAccessReviewKind, async (call, review: LocalSubjectAccessReview) => {
      const namespace = review.spec.resourceAttributes?.namespace ?? '';
      const wrongNamespace = namespace === call.info.namespace ? [] : [invalid('spec.resourceAttributes.namespace', namespace, 'must match metadata.namespace')];
      const nonResource = review.spec.nonResourceAttributes ? [invalid('spec.nonResourceAttributes', review.spec.nonResourceAttributes, 'disallowed on this kind of request')] : [];
      refuseInvalid('LocalSubjectAccessReview', [...subjectErrors(review.spec), ...wrongNamespace, ...nonResource]);
      return { ...review, status: await decide(attributesOf(userOfSpec(review.spec), review.spec)) };
    }),
    reviewOf(selfSubjectAccessReviewKind, async (call, review: SelfSubjectAccessReview) => {
      refuseInvalid('SelfSubjectAccessReview', questionErrors(review.spec));
      return { ...review, status: await decide(attributesOf(call.user, review.spec)) };
    }),
    reviewOf(selfSubjectRulesReviewKind, (call, review: SelfSubjectRulesReview) => Promise.resolve(reviewRules(options.rbac, call.user, review))),
  ];
}

function reviewOf<T extends KubernetesObject>(kind: Kind<T>, answer: (call: ResourceCall, review: T) => Promise<T>): ObjectHandler {
  return {
    group: kind.group, resource: kind.plural, subresource: '', verb: 'create',
    body: { group: kind.group, version: kind.version, kind: kind.kind, schema: kind.schema },
    handle: (call, object) => answer(call, object as T),
  };
}

export function userInfo(user: User): UserInfo {
  return {
    username: user.name, ...(user.uid === undefined ? {} : { uid: user.uid }), groups: [...user.groups],
    ...(user.extra === undefined ? {} : { extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])) }),
  };
}

async function reviewToken({ tokens, audiences }: ReviewOptions, review: TokenReview): Promise<TokenReview> {
  const { token } = review.spec;
  if (!token) throw badRequest('token is required for TokenReview in authentication');
  const asked = review.spec.audiences ?? [];
  try {
    const identity = await tokens.authenticate(token, asked.length > 0 ? asked : audiences);
    if (!identity) return { ...review, status: { user: {} } };
    return { ...review, status: { authenticated: true, user: userInfo(withAuthenticatedGroup(identity.user)), audiences: [...identity.audiences] } };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return { ...review, status: { user: {}, error: `[invalid bearer token, ${error.message}]` } };
  }
}

async function decideReview(authorizer: Authorizer, attributes: AuthorizationAttributes): Promise<SubjectAccessReviewStatus> {
  const { allowed, reason } = await authorizer.authorize(attributes);
  return { allowed, ...(reason === '' ? {} : { reason }) };
}

interface Question {
  readonly resourceAttributes?: ResourceAttributes | undefined;
  readonly nonResourceAttributes?: NonResourceAttributes | undefined;
}

function attributesOf(user: User, { resourceAttributes: resource, nonResourceAttributes: other }: Question): AuthorizationAttributes {
  return {
    user, isResourceRequest: resource !== undefined, verb: resource?.verb ?? other?.verb ?? '',
    apiGroup: resource?.group ?? '', apiVersion: resource?.version ?? '', resource: resource?.resource ?? '', subresource: resource?.subresource ?? '',
    namespace: resource?.namespace ?? '', name: resource?.name ?? '', path: other?.path ?? '',
    ...(resource ? { fieldSelector: selectorText(resource) } : {}),
  };
}

function selectorText({ fieldSelector }: ResourceAttributes): string {
  if (fieldSelector?.rawSelector) return fieldSelector.rawSelector;
  return (fieldSelector?.requirements ?? []).filter(({ operator }) => operator === 'In').map(({ key, values }) => `${key}=${values?.[0] ?? ''}`).join(',');
}

function userOfSpec(spec: SubjectAccessReviewSpec): User {
  return {
    name: spec.user ?? '', groups: spec.groups ?? [],
    ...(spec.uid === undefined ? {} : { uid: spec.uid }), ...(spec.extra === undefined ? {} : { extra: spec.extra }),
  };
}

function questionErrors({ resourceAttributes, nonResourceAttributes }: Question): FieldError[] {
  const both = 'cannot be specified in combination with ';
  if (resourceAttributes && nonResourceAttributes) return [invalid('spec.nonResourceAttributes', nonResourceAttributes, `${both}resourceAttributes`)];
  if (!resourceAttributes && !nonResourceAttributes) return [invalid('spec.resourceAttributes', undefined, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')];
  return [];
}

function subjectErrors(spec: SubjectAccessReviewSpec): FieldError[] {
  const nobody = !spec.user && (spec.groups ?? []).length === 0;
  return [...questionErrors(spec), ...(nobody ? [invalid('spec.user', spec.user ?? '', 'at least one of user or group must be specified')] : [])];
}

function refuseInvalid(kind: string, errors: readonly FieldError[]): void {
  if (errors.length > 0) throw invalidObject({ group: 'authorization.k8s.io', kind }, '', errors);
}

function reviewRules(rbac: RbacIndex, user: User, review: SelfSubjectRulesReview): SelfSubjectRulesReview {
  const namespace = review.spec.namespace ?? '';
  if (namespace === '') throw badRequest('no namespace on request');
  const { rules, errors } = rbac.rulesFor(user, namespace);
  const isNode = nodeIdentity(user) !== undefined;
  const problems = [...(isNode ? [new Error('node authorizer does not support user rule resolution')] : []), ...errors];
  return {
    ...review,
    status: {
      resourceRules: rules.filter(({ resources }) => (resources ?? []).length > 0).map(({ verbs, apiGroups, resources, resourceNames }) => ({ verbs, apiGroups, resources, resourceNames })),
      nonResourceRules: rules.filter(({ nonResourceURLs }) => (nonResourceURLs ?? []).length > 0).map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: isNode,
      ...(problems.length === 0 ? {} : { evaluationError: aggregate(problems) }),
    },
  };
}
