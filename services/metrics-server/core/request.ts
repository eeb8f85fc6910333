// What a request to the API asks for, as authorization and routing see it.
import { requestUrl } from '#lib/service/request-url.ts';

export interface ApiRequest {
  readonly resource: 'nodes' | 'pods';
  readonly verb: 'get' | 'list';
  /** Empty: all. */
  readonly namespace: string;
  /** Empty for a list. */
  readonly name: string;
}

/** The path that is answered, and that permission is asked for. */
export const pathOf = (target: string | undefined): string => requestUrl(target).pathname.replace(/\/+$/, '') || '/';

/** `/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web`; undefined for any other path. */
export function parseApiPath(path: string): ApiRequest | undefined {
  const match = /^\/apis\/metrics\.k8s\.io\/v1beta1\/(?:namespaces\/([^/]+)\/)?(nodes|pods)(?:\/([^/]+))?\/?$/.exec(path);
  if (!match) return undefined;
  const [, namespace = '', resource, name = ''] = match;
  if (resource === 'nodes' && namespace !== '') return undefined;
  if (resource === 'pods' && name !== '' && namespace === '') return undefined;
  if (/%/.test(namespace + name)) return undefined; // no name of a node, a namespace or a pod has anything to escape
  return { resource: resource as 'nodes' | 'pods', verb: name === '' ? 'list' : 'get', namespace, name };
}
