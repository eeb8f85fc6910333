// What the server serves, in the three forms clients ask for: plain lists, and aggregated discovery v2 and v2beta1.
// Source: apiserver pkg/endpoints/discovery, api/discovery/*.json.
import type { AnyKind, Subresource } from '#lib/kinds/define-kind.ts';
import { groupPriority, versionPriority } from './api-services.ts';

/** A group and version that another server answers for. */
export interface RemoteGroupVersion {
  readonly group: string;
  readonly version: string;
  readonly groupPriority: number;
  readonly versionPriority: number;
  /** As it publishes them, in the form of aggregated discovery. */
  readonly resources: readonly unknown[];
  /** False: it could not be asked; what is known may be old. */
  readonly isFresh: boolean;
}

export interface ServedGroup {
  readonly group: string;
  /** The preferred one first. */
  readonly versions: readonly string[];
}

export interface DiscoveryDocuments {
  readonly groups: readonly ServedGroup[];
  /** `/api` */
  readonly coreVersions: unknown;
  /** `/apis` */
  readonly groupList: unknown;
  /** `/apis/GROUP` */
  readonly group: (group: string) => unknown;
  /** `/api/v1`, `/apis/GROUP/VERSION` */
  readonly resources: (group: string, version: string) => unknown;
  /** `/api` (core) or `/apis` (the rest), aggregated. */
  readonly aggregated: (core: boolean, version: 'v2' | 'v2beta1') => unknown;
}

const groupVersion = (group: string, version: string): string => (group === '' ? version : `${group}/${version}`);

/** `v2` before `v1`, `v1` before `v1beta1`. Source: apimachinery pkg/version.CompareKubeAwareVersionStrings. */
function versionRank(version: string): readonly number[] {
  const [, major = '0', stage, minor = '0'] = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version) ?? [];
  return [stage === undefined ? 2 : stage === 'beta' ? 1 : 0, Number(major), Number(minor)];
}
function byVersion(left: string, right: string): number {
  const [a, b] = [versionRank(left), versionRank(right)];
  return a.map((part, index) => (b[index] ?? 0) - part).find((difference) => difference !== 0) ?? 0;
}

function groupsOf(kinds: readonly AnyKind[], remote: readonly RemoteGroupVersion[]): ServedGroup[] {
  const groups = new Map<string, { priority: number; versions: Map<string, number> }>();
  const add = (group: string, version: string, priority: number, ofVersion: number): void => {
    const known = groups.get(group) ?? { priority: 0, versions: new Map<string, number>() };
    groups.set(group, { priority: Math.max(known.priority, priority), versions: known.versions.set(version, ofVersion) });
  };
  for (const { group, version } of kinds) add(group, version, groupPriority(group), versionPriority(group, version));
  for (const one of remote) add(one.group, one.version, one.groupPriority, one.versionPriority);
  return [...groups].sort(([a, { priority: first }], [b, { priority: second }]) => second - first || (a < b ? -1 : 1))
    .map(([group, { versions }]) => ({ group, versions: [...versions].sort(([a, first], [b, second]) => second - first || byVersion(a, b)).map(([version]) => version) }));
}

function resourceList(kinds: readonly AnyKind[]): unknown[] {
  return kinds.flatMap((kind) => [
    {
      name: kind.plural, singularName: kind.singular, namespaced: kind.namespaced, kind: kind.kind, verbs: kind.verbs,
      ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
      ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
      ...(kind.storageVersionHash === undefined ? {} : { storageVersionHash: kind.storageVersionHash }),
    },
    ...Object.entries(kind.subresources).map(([name, subresource]) => ({
      name: `${kind.plural}/${name}`, singularName: '', namespaced: kind.namespaced,
      ...(subresource.version === undefined ? {} : { group: subresource.group ?? '', version: subresource.version }),
      kind: subresource.kind ?? kind.kind, verbs: subresource.verbs,
    })),
  ]);
}

function aggregatedResource(kind: AnyKind): unknown {
  const responseKind = (one: Subresource | undefined): unknown => ({
    group: one?.version === undefined ? kind.group : one.group ?? '', version: one?.version ?? kind.version, kind: one?.kind ?? kind.kind,
  });
  const subresources = Object.entries(kind.subresources).map(([name, one]) => ({ subresource: name, responseKind: responseKind(one), verbs: one.verbs }));
  return {
    resource: kind.plural, responseKind: responseKind(undefined), scope: kind.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: kind.singular, verbs: kind.verbs,
    ...(kind.shortNames.length > 0 ? { shortNames: kind.shortNames } : {}),
    ...(kind.categories.length > 0 ? { categories: kind.categories } : {}),
    ...(subresources.length > 0 ? { subresources } : {}),
  };
}

/** `serverAddress`: where to reach the server, for clients that ask /api. */
export function describeApi(kinds: readonly AnyKind[], serverAddress: string, remote: readonly RemoteGroupVersion[] = []): DiscoveryDocuments {
  const groups = groupsOf(kinds, remote);
  const remoteVersion = (group: string, version: string) => remote.find((one) => one.group === group && one.version === version);
  const kindsOf = (group: string, version: string): AnyKind[] =>
    kinds.filter((kind) => kind.group === group && kind.version === version).sort((a, b) => (a.plural < b.plural ? -1 : 1));
  const apiGroup = ({ group, versions }: ServedGroup): Record<string, unknown> => {
    const listed = versions.map((version) => ({ groupVersion: groupVersion(group, version), version }));
    return { name: group, versions: listed, preferredVersion: listed[0] };
  };
  const named = groups.filter(({ group }) => group !== '');
  return {
    groups,
    coreVersions: { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }] },
    groupList: { kind: 'APIGroupList', apiVersion: 'v1', groups: named.map(apiGroup) },
    group: (name) => {
      const found = named.find(({ group }) => group === name);
      return found && { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(found) };
    },
    resources: (group, version) => {
      const found = kindsOf(group, version);
      return found.length === 0 ? undefined
        : { kind: 'APIResourceList', ...(group === '' ? {} : { apiVersion: 'v1' }), groupVersion: groupVersion(group, version), resources: resourceList(found) };
    },
    aggregated: (core, version) => ({
      kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {},
      items: groups.filter(({ group }) => (group === '') === core).map(({ group, versions }) => ({
        metadata: group === '' ? { creationTimestamp: null } : { name: group, creationTimestamp: null },
        versions: versions.map((one) => {
          const other = remoteVersion(group, one);
          return other ? { version: one, resources: other.resources, freshness: other.isFresh ? 'Current' : 'Stale' }
            : { version: one, resources: kindsOf(group, one).map(aggregatedResource), freshness: 'Current' };
        }),
      })),
    }),
  };
}
