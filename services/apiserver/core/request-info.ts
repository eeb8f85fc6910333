// What a request asks for, read from method, path and query alone.
// Source: apiserver pkg/endpoints/request/requestinfo.go.

export interface RequestInfo {
  readonly isResourceRequest: boolean;
  /** Path without the query. */
  readonly path: string;
  /** Resource requests: get list watch create update patch delete deletecollection. Others: the method in lower case. */
  readonly verb: string;
  /** `api`, `apis` or empty. */
  readonly apiPrefix: string;
  readonly apiGroup: string;
  readonly apiVersion: string;
  readonly namespace: string;
  readonly resource: string;
  readonly subresource: string;
  readonly name: string;
  /** What follows the group and version in the path, namespaces/NS taken off: resource, name, subresource, proxy path. */
  readonly parts: readonly string[];
}

const VERBS: Readonly<Record<string, string>> = { POST: 'create', GET: 'get', HEAD: 'get', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** These are part of a namespace itself, not resources in it. */
const NAMESPACE_SUBRESOURCES: ReadonlySet<string> = new Set(['status', 'finalize']);

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment; // a malformed escape stays as it is; no object has such a name
  }
}

/** `name` of a field selector `metadata.name=NAME`, alone or among others. */
function nameInFieldSelector(fieldSelector: string): string {
  for (const term of fieldSelector.split(',')) {
    const [, name] = /^metadata\.name==?([^!=]+)$/.exec(term.trim()) ?? [];
    if (name !== undefined) return name;
  }
  return '';
}

function isWatch(query: URLSearchParams): boolean {
  const value = query.get('watch');
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}

export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const segments = path.split('/').filter((segment) => segment !== '').map(decodeSegment);
  const prefix = segments[0] ?? '';
  const nonResource: RequestInfo = {
    isResourceRequest: false, path, verb: method.toLowerCase(), apiPrefix: '', apiGroup: '', apiVersion: '',
    namespace: '', resource: '', subresource: '', name: '', parts: [],
  };
  const versionAt = prefix === 'api' ? 1 : prefix === 'apis' ? 2 : -1;
  if (versionAt < 0 || segments.length < versionAt + 2) return nonResource;

  let verb = VERBS[method] ?? '';
  let parts = segments.slice(versionAt + 1);
  if (parts[0] === 'watch' || parts[0] === 'proxy') { // the old /api/v1/watch/pods
    verb = parts[0];
    parts = parts.slice(1);
  }
  let namespace = '';
  if (parts[0] === 'namespaces' && parts[1] !== undefined) {
    namespace = parts[1];
    if (parts[2] !== undefined && !NAMESPACE_SUBRESOURCES.has(parts[2])) parts = parts.slice(2);
  }
  const resource = parts[0] ?? '';
  let name = parts[1] ?? '';
  const subresource = parts[2] ?? '';
  if (name === '' && verb === 'get') {
    verb = isWatch(query) ? 'watch' : 'list';
    name = nameInFieldSelector(query.get('fieldSelector') ?? '');
  } else if (name === '' && verb === 'delete') {
    verb = 'deletecollection';
    name = nameInFieldSelector(query.get('fieldSelector') ?? '');
  } else if (name !== '' && subresource === '' && verb === 'get' && isWatch(query)) {
    verb = 'watch';
  }
  return {
    isResourceRequest: resource !== '', path, verb, apiPrefix: prefix, apiGroup: versionAt === 2 ? segments[1] ?? '' : '',
    apiVersion: segments[versionAt] ?? '', namespace, resource, subresource, name, parts,
  };
}
