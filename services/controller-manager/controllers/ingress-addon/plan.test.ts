import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Deployment } from '#lib/kinds/types/apps-v1.ts';
import type { Ingress, IngressClass } from '#lib/kinds/types/networking-v1.ts';
import { isForNginx, START_ANNOTATION, started } from './plan.ts';

const ingress = (ingressClassName?: string): Ingress => ({ metadata: { name: 'web' }, spec: { ...(ingressClassName ? { ingressClassName } : {}) } });
const nginxClass = (isDefault: boolean): IngressClass => ({ metadata: { name: 'nginx', annotations: { 'ingressclass.kubernetes.io/is-default-class': String(isDefault) } }, spec: {} });
const deployment = (replicas: number, annotation = 'true'): Deployment => ({
  metadata: { name: 'ingress-nginx-controller', annotations: { [START_ANNOTATION]: annotation, other: 'kept' } }, spec: { replicas, selector: {}, template: {} },
});

test('an Ingress is for nginx by its class, or by the default', () => {
  assert.equal(isForNginx(ingress('nginx'), []), true);
  assert.equal(isForNginx(ingress('other'), [nginxClass(true)]), false);
  assert.equal(isForNginx(ingress(), [nginxClass(true)]), true);
  assert.equal(isForNginx(ingress(), [nginxClass(false)]), false);
});

test('the add-on is started once', () => {
  const next = started(deployment(0));
  assert.deepEqual([next?.spec.replicas, next?.metadata.annotations], [1, { other: 'kept' }]);
  assert.equal(started(deployment(2)), undefined);
  assert.equal(started(deployment(0, 'false')), undefined);
  assert.equal(started(undefined), undefined);
});
