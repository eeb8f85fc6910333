// The list of resources that a remote server publishes, in the form of aggregated discovery. Pure.
// Source: apiserver pkg/endpoints/discovery/aggregated (conversion of APIResourceList).

interface ListedResource {
  readonly name?: unknown;
  readonly singularName?: unknown;
  readonly namespaced?: unknown;
  readonly group?: unknown;
  readonly version?: unknown;
  readonly kind?: unknown;
  readonly verbs?: unknown;
  readonly shortNames?: unknown;
  readonly categories?: unknown;
}

const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((one) => typeof one === 'string') : []);

/** Empty when `document` is no APIResourceList. */
export function aggregatedResources(group: string, version: string, document: unknown): unknown[] {
  const { resources } = (typeof document === 'object' && document !== null ? document : {}) as { resources?: unknown };
  if (!Array.isArray(resources)) return [];
  const listed = resources.filter((one): one is ListedResource => typeof one === 'object' && one !== null && text((one as ListedResource).name) !== '');
  const responseKind = (one: ListedResource) => ({ group: text(one.group) || group, version: text(one.version) || version, kind: text(one.kind) });
  return listed.filter(({ name }) => !text(name).includes('/')).map((one) => {
    const name = text(one.name);
    const [shortNames, categories] = [texts(one.shortNames), texts(one.categories)];
    const subresources = listed.filter((other) => text(other.name).startsWith(`${name}/`))
      .map((other) => ({ subresource: text(other.name).slice(name.length + 1), responseKind: responseKind(other), verbs: texts(other.verbs) }));
    return {
      resource: name, responseKind: responseKind(one), scope: one.namespaced === true ? 'Namespaced' : 'Cluster', singularResource: text(one.singularName), verbs: texts(one.verbs),
      ...(shortNames.length > 0 ? { shortNames } : {}), ...(categories.length > 0 ? { categories } : {}), ...(subresources.length > 0 ? { subresources } : {}),
    };
  });
}
