// ComponentStatus of v1 (deprecated): whether scheduler, controller manager and etcd answer. Asked at every read, never stored.
import { nameColumn, textColumn } from '../columns.ts';
import { defineKind } from '../define-kind.ts';
import type { ComponentStatus } from '../types/core-v1.ts';

const healthy = ({ conditions }: ComponentStatus) => conditions?.find(({ type }) => type === 'Healthy');

function statusText(component: ComponentStatus): string {
  const condition = healthy(component);
  if (!condition) return 'Unknown';
  return condition.status === 'True' ? 'Healthy' : 'Unhealthy';
}

export const componentStatusKind = defineKind<ComponentStatus>({
  group: '', version: 'v1', kind: 'ComponentStatus', plural: 'componentstatuses', singular: 'componentstatus', scope: 'Cluster',
  schema: 'io.k8s.api.core.v1.ComponentStatus',
  shortNames: ['cs'],
  verbs: ['get', 'list'],
  deprecation: 'v1 ComponentStatus is deprecated in v1.19+',
  columns: [
    nameColumn(),
    textColumn('Status', statusText),
    textColumn('Message', (component) => healthy(component)?.message ?? ''),
    textColumn('Error', (component) => healthy(component)?.error ?? ''),
  ],
});
