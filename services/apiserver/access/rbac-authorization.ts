// The RBAC authorizer, and the guard against granting by RBAC what one does not hold.
// Source: plugin/pkg/auth/authorizer/rbac/rbac.go; pkg/registry/rbac/{escalation_check.go,*/policybased/storage.go}.
import type { KubernetesObject } from '#lib/kinds/define-kind.ts';
import type { ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding } from '#lib/kinds/types/rbac-v1.ts';
import { forbidden } from '#lib/machinery/status-error.ts';
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer, User } from '../core/access.ts';
import type { AdmissionPlugin } from '../core/admission/admission.ts';
import type { RbacIndex } from './rbac-index.ts';
import { compactRules, ruleAllows, rulesNotCovered, ruleText } from './rbac-rules.ts';

export const RBAC_GROUP = 'rbac.authorization.k8s.io';

export function rbacAuthorize(index: RbacIndex, request: AuthorizationAttributes): AuthorizationDecision {
  let source: string | undefined;
  const errors = index.visitRules(request.user, request.namespace, (applied) => {
    if (!ruleAllows(applied.rule, request)) return false;
    source = applied.source();
    return true;
  });
  if (source !== undefined) return { allowed: true, reason: `RBAC: allowed by ${source}` };
  return { allowed: false, reason: errors.length === 0 ? '' : `RBAC: ${aggregate(errors)}` };
}

/** Source: apimachinery util/errors Aggregate. */
export function aggregate(errors: readonly Error[]): string {
  const texts = [...new Set(errors.map(({ message }) => message))];
  return texts.length === 1 ? texts[0] ?? '' : `[${texts.join(', ')}]`;
}

export interface RbacWrite {
  readonly user: User;
  /** Plural: roles, clusterroles, rolebindings, clusterrolebindings. Others pass. */
  readonly resource: string;
  readonly object: KubernetesObject;
  /** Undefined on create. */
  readonly previous?: KubernetesObject | undefined;
}

/** The guard in the place where writes are looked at last. */
export function escalationPlugin(guard: EscalationGuard): AdmissionPlugin {
  return {
    name: 'RBACEscalation',
    async validate({ operation, kind, subresource, object, previous, user }) {
      if (kind.group !== RBAC_GROUP || subresource !== '' || operation === 'DELETE' || !object) return;
      await guard.check({ user, resource: kind.plural, object, previous });
    },
  };
}

export interface EscalationGuard {
  /** Throws a forbidden StatusError when the write would grant more than its user holds. After admission, before storing. */
  check(write: RbacWrite): Promise<void>;
}

export function createEscalationGuard(index: RbacIndex, authorizer: Authorizer): EscalationGuard {
  const isAllowed = async (user: User, verb: string, resource: string, namespace: string, name: string): Promise<boolean> =>
    (await authorizer.authorize({
      user, verb, isResourceRequest: true, apiGroup: RBAC_GROUP, apiVersion: '*', resource, subresource: '', namespace, name, path: '',
    })).allowed;

  const confirm = ({ user, resource, object }: RbacWrite, namespace: string, rules: readonly PolicyRule[]): void => {
    const held = index.rulesFor(user, namespace);
    const missing = rulesNotCovered(held.rules, rules);
    if (missing.length === 0) return;
    const texts = [...new Set(compactRules(missing).map(ruleText))].sort();
    const groups = `[${user.groups.map((group) => JSON.stringify(group)).join(' ')}]`;
    const unresolved = held.errors.length === 0 ? '' : `; resolution errors: [${held.errors.map(({ message }) => message).join(' ')}]`;
    throw forbidden({ group: RBAC_GROUP, plural: resource }, object.metadata.name ?? '',
      `user ${JSON.stringify(user.name)} (groups=${groups}) is attempting to grant RBAC permissions not currently held:\n${texts.join('\n')}${unresolved}`);
  };

  return {
    async check(write) {
      const { user, resource, object, previous } = write;
      if (user.groups.includes('system:masters')) return;
      const name = object.metadata.name ?? '';
      const namespace = object.metadata.namespace ?? '';
      switch (resource) {
        case 'roles':
        case 'clusterroles': {
          const role = object as Role | ClusterRole;
          if (previous && isSame(rulesAndAggregation(previous), rulesAndAggregation(object))) return;
          if (await isAllowed(user, 'escalate', resource, namespace, name)) return;
          confirm(write, namespace, role.rules ?? []);
          // Who fills a role by aggregation may reach anything: only a user who may do everything can set that up.
          if (hasAggregation(object)) confirm(write, '', [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }, { nonResourceURLs: ['*'], verbs: ['*'] }]);
          return;
        }
        case 'rolebindings':
        case 'clusterrolebindings': {
          const binding = object as RoleBinding | ClusterRoleBinding;
          if (previous && isSame(roleAndSubjects(previous), roleAndSubjects(object))) return;
          const { roleRef } = binding;
          if (await isAllowed(user, 'bind', roleRef.kind === 'Role' ? 'roles' : 'clusterroles', namespace, roleRef.name)) return;
          confirm(write, namespace, index.rulesOfRole(roleRef, namespace));
          return;
        }
        default: return;
      }
    },
  };
}

const hasAggregation = (object: KubernetesObject): boolean => ((object as ClusterRole).aggregationRule?.clusterRoleSelectors ?? []).length > 0;
const rulesAndAggregation = (object: KubernetesObject) => [(object as ClusterRole).rules ?? [], (object as ClusterRole).aggregationRule ?? null];
const roleAndSubjects = (object: KubernetesObject) => [(object as RoleBinding).roleRef, (object as RoleBinding).subjects ?? []];
const isSame = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);
