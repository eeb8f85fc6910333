// What a request to the API asks for, as authorization and routing see it.

export interface ApiRequest {
  readonly resource: 'nodes' | 'pods';
  readonly verb: 'get' | 'list';
  /** Empty: all. */
  readonly namespace: string;
  /** Empty for a list. */
  readonly name: string;
}

/** `/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/web`; undefined for any other path. */
export function parseApiPath(path: string): ApiRequest | undefined {
  const match = /^\/apis\/metrics\.k8s\.io\/v1beta1\/(?:namespaces\/([^/]+)\/)?(nodes|pods)(?:\/([^/]+))?\/?$/.exec(path);
  if (!match) return undefined;
  const [, namespace = '', resource, name = ''] = match;
  if (resource === 'nodes' && namespace !== '') return undefined;
  if (resource === 'pods' && name !== '' && namespace === '') return undefined;
  return { resource: resource as 'nodes' | 'pods', verb: name === '' ? 'list' : 'get', namespace: decodeURIComponent(namespace), name: decodeURIComponent(name) };
}
