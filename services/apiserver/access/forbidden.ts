// The 403 of a refused request, in upstream's words.
// Source: apiserver pkg/endpoints/handlers/responsewriters/errors.go.
import { failure, forbidden, type StatusError } from '#lib/machinery/status-error.ts';
import type { AuthorizationAttributes } from '../core/access.ts';

export function describeRefusal({ user, verb, isResourceRequest, resource, subresource, apiGroup, namespace, path }: AuthorizationAttributes): string {
  const who = `User ${JSON.stringify(user.name)} cannot ${verb}`;
  if (!isResourceRequest) return `${who} path ${JSON.stringify(path)}`;
  const what = `resource ${JSON.stringify(subresource === '' ? resource : `${resource}/${subresource}`)} in API group ${JSON.stringify(apiGroup)}`;
  return `${who} ${what} ${namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(namespace)}`}`;
}

/** `reason` of the authorizer follows after a colon when there is one. */
export function refused(attributes: AuthorizationAttributes, reason: string): StatusError {
  const text = describeRefusal(attributes) + (reason === '' ? '' : `: ${reason}`);
  if (!attributes.isResourceRequest) return failure(403, 'Forbidden', `forbidden: ${text}`, {});
  return forbidden({ group: attributes.apiGroup, plural: attributes.resource }, attributes.name, text);
}
