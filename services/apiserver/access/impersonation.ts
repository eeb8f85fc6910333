// Acting as somebody else: Impersonate-User, -Group, -Uid, -Extra-*; each needs the verb `impersonate`.
// Source: apiserver pkg/endpoints/filters/impersonation, Kubernetes 1.36.
import { internalError } from '#lib/machinery/status-error.ts';
import { ANONYMOUS, type AuthorizationAttributes, type Authorizer, type Impersonator } from '../core/access.ts';
import { extraOfHeaders, splitList, valuesOf } from './authentication.ts';
import { refused } from './forbidden.ts';
import { serviceAccountGroups, splitServiceAccountUserName } from './service-account-token.ts';

const EXTRA_PREFIX = 'impersonate-extra-';
const AUTHENTICATION_GROUP = 'authentication.k8s.io';

export function createImpersonator(authorizer: Authorizer): Impersonator {
  return {
    async impersonate(user, { headers }) {
      const name = valuesOf(headers, 'impersonate-user')[0] ?? '';
      const groups = splitList(headers, 'impersonate-group');
      const uid = valuesOf(headers, 'impersonate-uid')[0] ?? '';
      const extra = extraOfHeaders(headers, [EXTRA_PREFIX]);
      if (name === '') {
        if (groups.length > 0 || uid !== '' || Object.keys(extra).length > 0) throw internalError('requested impersonation without impersonating a user');
        return user;
      }
      const demand = async (target: Pick<AuthorizationAttributes, 'resource' | 'name'> & Partial<AuthorizationAttributes>) => {
        const attributes: AuthorizationAttributes = {
          user, verb: 'impersonate', isResourceRequest: true, apiGroup: '', apiVersion: 'v1', subresource: '', namespace: '', path: '', ...target,
        };
        const { allowed, reason } = await authorizer.authorize(attributes);
        if (!allowed) throw refused(attributes, reason);
      };
      const account = splitServiceAccountUserName(name);
      await demand(account ? { resource: 'serviceaccounts', ...account } : { resource: 'users', name });
      for (const group of groups) await demand({ resource: 'groups', name: group });
      if (uid !== '') await demand({ apiGroup: AUTHENTICATION_GROUP, resource: 'uids', name: uid });
      for (const [key, values] of Object.entries(extra)) {
        for (const value of values) await demand({ apiGroup: AUTHENTICATION_GROUP, resource: 'userextras', subresource: key, name: value });
      }
      return {
        name, groups: groupsOf(name, groups), ...(uid === '' ? {} : { uid }), ...(Object.keys(extra).length === 0 ? {} : { extra }),
      };
    },
  };
}

function groupsOf(name: string, asked: readonly string[]): readonly string[] {
  const account = splitServiceAccountUserName(name);
  const groups = asked.length > 0 ? [...asked] : account ? serviceAccountGroups(account.namespace) : [];
  const hasKind = groups.some((group) => group === 'system:authenticated' || group === 'system:unauthenticated');
  if (hasKind) return groups;
  return [...groups, name === ANONYMOUS.name ? 'system:unauthenticated' : 'system:authenticated'];
}

/** Headers that say who asks; they end here and go to no backend. */
export function isCredentialHeader(name: string): boolean {
  return name === 'authorization' || name.startsWith('impersonate-');
}

