// Which resources the API server serves, in its preferred versions.
import { TransportError } from '#lib/api-client/client.ts';
import type { APIGroupList, APIResourceList } from '#lib/kinds/types/meta-v1.ts';
import { defineKind, type AnyKind, type Verb } from '#lib/kinds/define-kind.ts';
import { StatusError } from '#lib/machinery/status-error.ts';

export interface Discovered {
  /** Resources as kinds; what is known of them is names, scope and verbs. */
  readonly kinds: readonly AnyKind[];
  /** Group versions that could not be asked, with the reason. */
  readonly failed: ReadonlyMap<string, string>;
}

type Get = <R>(method: 'GET', path: string) => Promise<R>;

/** Throws when not even the list of groups can be had. */
export async function discover(get: Get): Promise<Discovered> {
  const { groups } = await get<APIGroupList>('GET', '/apis');
  const versions = groups.map(({ versions: served, preferredVersion }) => preferredVersion?.groupVersion ?? served[0]?.groupVersion ?? '').filter((one) => one !== '');
  const failed = new Map<string, string>();
  const kinds: AnyKind[] = [];
  const resourcesOf = async (groupVersion: string, path: string): Promise<void> => {
    try {
      const { resources } = await get<APIResourceList>('GET', path);
      const [version = '', group = ''] = groupVersion.split('/').reverse();
      for (const { name, kind, namespaced, verbs } of resources) {
        if (name.includes('/')) continue;
        kinds.push(defineKind({ group, version, kind, plural: name, scope: namespaced ? 'Namespaced' : 'Cluster', verbs: verbs as Verb[], schema: '' }));
      }
    } catch (error) {
      if (!(error instanceof StatusError) && !(error instanceof TransportError)) throw error;
      failed.set(groupVersion, error.message);
    }
  };
  await Promise.all([resourcesOf('v1', '/api/v1'), ...versions.map((version) => resourcesOf(version, `/apis/${version}`))]);
  return { kinds, failed };
}
