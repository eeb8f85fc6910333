// Which roles apply to whom, kept up to date from the watch of bindings: a request looks at the bindings of its own user
// and groups only.
// Source of the rules: pkg/registry/rbac/validation/rule.go.
import { clusterRoleBindingKind } from '#lib/kinds/rbac/cluster-role-binding.ts';
import { clusterRoleKind } from '#lib/kinds/rbac/cluster-role.ts';
import { roleBindingKind } from '#lib/kinds/rbac/role-binding.ts';
import { roleKind } from '#lib/kinds/rbac/role.ts';
import type { ClusterRoleBinding, PolicyRule, RoleBinding, RoleRef, Subject } from '#lib/kinds/types/rbac-v1.ts';
import { notFound } from '#lib/machinery/status-error.ts';
import type { User } from '../core/access.ts';
import type { ObjectReader } from '../core/object-reader.ts';
import { serviceAccountUserName } from './service-account-token.ts';

type Binding = Readonly<RoleBinding> | Readonly<ClusterRoleBinding>;

/** A binding by one of its subjects. */
interface Entry {
  readonly binding: Binding;
  readonly subject: Subject;
  readonly namespace: string;
}

export interface AppliedRule {
  readonly rule: PolicyRule;
  /** `ClusterRoleBinding "x" of ClusterRole "y" to Group "z"`. */
  readonly source: () => string;
}

export class RbacIndex {
  readonly #objects: ObjectReader;
  /** Namespace (empty: cluster-wide) to subject key to binding name to entry. */
  readonly #entries = new Map<string, Map<string, Map<string, Entry>>>();
  /** `NAMESPACE/NAME` to the binding as indexed, so that it can be taken out again. */
  readonly #indexed = new Map<string, Binding>();

  constructor(objects: ObjectReader) {
    this.#objects = objects;
    objects.subscribe(clusterRoleBindingKind, (change) => this.#update('', change));
    objects.subscribe(roleBindingKind, (change) => this.#update(change.object.metadata.namespace ?? '', change));
  }

  #update(namespace: string, { type, object }: { readonly type: string; readonly object: Binding }): void {
    const key = `${namespace}/${object.metadata.name ?? ''}`;
    const indexed = this.#indexed.get(key);
    if (indexed) this.#remove(namespace, indexed);
    if (type === 'DELETED') {
      this.#indexed.delete(key);
    } else {
      this.#indexed.set(key, object);
      this.#add(namespace, object);
    }
  }

  #add(namespace: string, binding: Binding): void {
    const ofNamespace = this.#entries.get(namespace) ?? new Map<string, Map<string, Entry>>();
    this.#entries.set(namespace, ofNamespace);
    for (const subject of binding.subjects ?? []) {
      const key = subjectKey(subject, namespace);
      if (key === undefined) continue;
      const byName = ofNamespace.get(key) ?? new Map<string, Entry>();
      ofNamespace.set(key, byName.set(binding.metadata.name ?? '', { binding, subject, namespace }));
    }
  }

  #remove(namespace: string, binding: Binding): void {
    const ofNamespace = this.#entries.get(namespace);
    for (const subject of binding.subjects ?? []) {
      const key = subjectKey(subject, namespace) ?? '';
      const byName = ofNamespace?.get(key);
      byName?.delete(binding.metadata.name ?? '');
      if (byName?.size === 0) ofNamespace?.delete(key);
    }
    if (ofNamespace?.size === 0) this.#entries.delete(namespace);
  }

  /** Visits the user's rules, cluster-wide ones first, until `visit` returns true. Returns the roles that do not exist. */
  visitRules(user: User, namespace: string, visit: (applied: AppliedRule) => boolean): Error[] {
    const errors: Error[] = [];
    const keys = [`U:${user.name}`, ...user.groups.map((group) => `G:${group}`)];
    const seen = new Set<Binding>();
    for (const scope of namespace === '' ? [''] : ['', namespace]) {
      const ofNamespace = this.#entries.get(scope);
      if (!ofNamespace) continue;
      for (const key of keys) {
        for (const entry of ofNamespace.get(key)?.values() ?? []) {
          if (seen.has(entry.binding)) continue;
          seen.add(entry.binding);
          const rules = this.#rulesOf(entry.binding.roleRef, scope, errors);
          if (rules.some((rule) => visit({ rule, source: () => describe(entry) }))) return errors;
        }
      }
    }
    return errors;
  }

  rulesFor(user: User, namespace: string): { readonly rules: PolicyRule[]; readonly errors: Error[] } {
    const rules: PolicyRule[] = [];
    const errors = this.visitRules(user, namespace, ({ rule }) => {
      rules.push(rule);
      return false;
    });
    return { rules, errors };
  }

  /** Rules of the role that a binding names; throws NotFound. `namespace`: that of the binding, or empty. */
  rulesOfRole(roleRef: RoleRef, namespace: string): readonly PolicyRule[] {
    switch (roleRef.kind) {
      case 'ClusterRole': {
        const role = this.#objects.cached(clusterRoleKind, '', roleRef.name);
        if (!role) throw notFound({ group: clusterRoleKind.group, plural: clusterRoleKind.singular }, roleRef.name); // upstream: the singular
        return role.rules ?? [];
      }
      case 'Role': {
        const role = this.#objects.cached(roleKind, namespace, roleRef.name);
        if (!role) throw notFound({ group: roleKind.group, plural: roleKind.singular }, roleRef.name);
        return role.rules ?? [];
      }
      default: throw new Error(`unsupported role reference kind: ${JSON.stringify(roleRef.kind)}`);
    }
  }

  #rulesOf(roleRef: RoleRef, namespace: string, errors: Error[]): readonly PolicyRule[] {
    try {
      return this.rulesOfRole(roleRef, namespace);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      errors.push(error); // rules only add: one that cannot be found grants nothing, and is named in the refusal
      return [];
    }
  }
}

/** Service accounts are users by another name. Undefined: a subject that applies to nobody. */
function subjectKey(subject: Subject, bindingNamespace: string): string | undefined {
  switch (subject.kind) {
    case 'User': return `U:${subject.name}`;
    case 'Group': return `G:${subject.name}`;
    case 'ServiceAccount': {
      const namespace = subject.namespace || bindingNamespace;
      return namespace === '' ? undefined : `U:${serviceAccountUserName(namespace, subject.name)}`;
    }
    default: return undefined;
  }
}

function describe({ binding, subject, namespace }: Entry): string {
  const { roleRef, metadata } = binding;
  const name = namespace === '' ? metadata.name ?? '' : `${metadata.name ?? ''}/${namespace}`;
  const subjectName = subject.kind === 'ServiceAccount' ? `${subject.name}/${subject.namespace || namespace}` : subject.name;
  return `${namespace === '' ? 'ClusterRoleBinding' : 'RoleBinding'} ${JSON.stringify(name)} of ${roleRef.kind} ${JSON.stringify(roleRef.name)} to ${subject.kind} ${JSON.stringify(subjectName)}`;
}
