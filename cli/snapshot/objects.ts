// Every object of a cluster as YAML, a file a resource: for people who want to know what a snapshot holds.
import { stringify } from 'yaml';
import type { ApiClient } from '#lib/api-client/client.ts';
import { StatusError } from '#lib/machinery/status-error.ts';

/** Come and go by the minute, and tell nobody anything later. */
const LEFT_OUT: ReadonlySet<string> = new Set(['core/events', 'events.k8s.io/events', 'coordination.k8s.io/leases']);
/** Made up by servers when they are asked, or another view of what is listed elsewhere. */
const NOT_STORED: ReadonlySet<string> = new Set(['core/componentstatuses']);
const PAGE_SIZE = 500;

interface ResourceList {
  readonly resources?: readonly { readonly name: string; readonly kind: string; readonly verbs: readonly string[] }[];
}

export interface ObjectFiles {
  readonly files: ReadonlyMap<string, string>;
  readonly counts: Readonly<Record<string, number>>;
  readonly onlyInEtcd: readonly string[];
}

export async function objectFiles(api: ApiClient): Promise<ObjectFiles> {
  const files = new Map<string, string>();
  const counts: Record<string, number> = {};
  const onlyInEtcd: string[] = [];
  for (const { group, path, apiVersion } of await groupVersions(api)) {
    const { resources = [] } = await api.request<ResourceList>('GET', path).catch((error: unknown): ResourceList => {
      if (error instanceof StatusError) return {}; // a server behind an APIService that is down: nothing of it is in etcd
      throw error;
    });
    for (const { name, kind, verbs } of resources) {
      const resource = `${group}/${name}`;
      if (name.includes('/') || !verbs.includes('list') || !verbs.includes('watch') || NOT_STORED.has(resource)) continue;
      if (LEFT_OUT.has(resource)) {
        onlyInEtcd.push(resource);
        continue;
      }
      const items = await listAll(api, `${path}/${name}`);
      if (items.length === 0) continue;
      counts[resource] = items.length;
      files.set(`objects/${resource}.yaml`, stringify({ apiVersion, kind: `${kind}List`, items }, { lineWidth: 0, aliasDuplicateObjects: false }));
    }
  }
  return { files, counts, onlyInEtcd };
}

interface GroupVersion {
  readonly group: string;
  readonly path: string;
  readonly apiVersion: string;
}

async function groupVersions(api: ApiClient): Promise<GroupVersion[]> {
  const { groups } = await api.request<{ groups: readonly { readonly name: string; readonly preferredVersion: { readonly groupVersion: string } }[] }>('GET', '/apis');
  return [{ group: 'core', path: '/api/v1', apiVersion: 'v1' }, ...groups.map(({ name, preferredVersion: { groupVersion } }) => ({ group: name, path: `/apis/${groupVersion}`, apiVersion: groupVersion }))];
}

async function listAll(api: ApiClient, path: string): Promise<unknown[]> {
  const items: unknown[] = [];
  let position = '';
  do {
    const page = await api.request<{ items?: unknown[]; metadata?: { continue?: string } }>('GET', `${path}?limit=${PAGE_SIZE}${position === '' ? '' : `&continue=${encodeURIComponent(position)}`}`);
    items.push(...page.items ?? []);
    position = page.metadata?.continue ?? '';
  } while (position !== '');
  return items;
}
