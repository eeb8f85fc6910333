// Which permission a request to the kubelet's server needs. Source: pkg/kubelet/server/auth.go.

export interface NeededAccess {
  readonly verb: string;
  /** Any of these subresources of the node suffices; in the order in which they are asked for. */
  readonly subresources: readonly string[];
}

const VERBS: Readonly<Record<string, string>> = { GET: 'get', HEAD: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

const below = (path: string, root: string): boolean => path === root || path.startsWith(`${root}/`);

export function neededAccess(method: string, path: string): NeededAccess {
  const verb = VERBS[method] ?? 'get';
  if (below(path, '/stats')) return { verb, subresources: ['stats'] };
  if (below(path, '/metrics')) return { verb, subresources: ['metrics'] };
  if (below(path, '/logs')) return { verb, subresources: ['log'] };
  if (below(path, '/spec')) return { verb, subresources: ['spec'] };
  if (below(path, '/checkpoint')) return { verb, subresources: ['checkpoint'] };
  if (below(path, '/healthz')) return { verb, subresources: ['healthz', 'proxy'] };
  if (below(path, '/pods') || below(path, '/runningpods')) return { verb, subresources: ['pods', 'proxy'] };
  if (below(path, '/configz')) return { verb, subresources: ['configz', 'proxy'] };
  return { verb, subresources: ['proxy'] };
}
