// Who may do what: system:masters, nodes, RBAC, in that order; the first to allow decides.
// Source: apiserver pkg/authorization/{union,authorizerfactory}.
import type { AuthorizationAttributes, AuthorizationDecision, Authorizer } from '../core/access.ts';
import { nodeAuthorize, type NodeGraph } from './node-authorization.ts';
import { rbacAuthorize } from './rbac-authorization.ts';
import type { RbacIndex } from './rbac-index.ts';

export interface AuthorizerOptions {
  /** As --authorization-mode: Node, RBAC, AlwaysAllow, AlwaysDeny. */
  readonly modes: readonly string[];
  readonly rbac: RbacIndex;
  readonly nodes: NodeGraph;
}

export function createAuthorizer({ modes, rbac, nodes }: AuthorizerOptions): Authorizer {
  const members = modes.map((mode) => authorizerOf(mode, rbac, nodes));
  return {
    authorize(attributes) {
      if (attributes.user.groups.includes('system:masters')) return { allowed: true, reason: '' };
      const reasons: string[] = [];
      for (const member of members) {
        const decision = member(attributes);
        if (decision.allowed) return decision;
        if (decision.reason !== '') reasons.push(decision.reason);
      }
      return { allowed: false, reason: reasons.join('\n') };
    },
  };
}

function authorizerOf(mode: string, rbac: RbacIndex, nodes: NodeGraph): (attributes: AuthorizationAttributes) => AuthorizationDecision {
  switch (mode) {
    case 'Node': return (attributes) => nodeAuthorize(nodes, attributes);
    case 'RBAC': return (attributes) => rbacAuthorize(rbac, attributes);
    case 'AlwaysAllow': return () => ({ allowed: true, reason: '' });
    case 'AlwaysDeny': return () => ({ allowed: false, reason: 'Everything is forbidden.' });
    default: throw new Error(`authorization mode ${mode} is not supported; supported: Node, RBAC, AlwaysAllow, AlwaysDeny`);
  }
}
