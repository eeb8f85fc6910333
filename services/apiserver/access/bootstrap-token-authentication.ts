// Users by bootstrap token (`kubeadm join --token`): secrets of type bootstrap.kubernetes.io/token in kube-system.
// Source: plugin/pkg/auth/authenticator/token/bootstrap.
import { timingSafeEqual } from 'node:crypto';
import { secretKind } from '#lib/kinds/core/secret.ts';
import type { User } from '../core/access.ts';
import type { ObjectReader } from '../core/object-reader.ts';

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;

/** Undefined: not such a token, or one that does not hold. */
export function bootstrapUser(token: string, objects: ObjectReader, nowMs: number): User | undefined {
  const [, id = '', asked = ''] = TOKEN.exec(token) ?? [];
  if (id === '') return undefined;
  const secret = objects.cached(secretKind, 'kube-system', `bootstrap-token-${id}`);
  if (!secret || secret.metadata.deletionTimestamp || secret.type !== 'bootstrap.kubernetes.io/token') return undefined;
  const value = (key: string) => Buffer.from(secret.data?.[key] ?? '', 'base64').toString('utf8');
  const held = Buffer.from(value('token-secret'));
  const shown = Buffer.from(asked);
  if (held.length !== shown.length || !timingSafeEqual(held, shown) || value('token-id') !== id) return undefined;
  const expiration = value('expiration');
  if (expiration !== '' && !(Date.parse(expiration) > nowMs)) return undefined;
  if (value('usage-bootstrap-authentication') !== 'true') return undefined;
  const extraGroups = value('auth-extra-groups').split(',').filter((group) => group !== '');
  if (extraGroups.some((group) => !EXTRA_GROUP.test(group))) return undefined;
  return { name: `system:bootstrap:${id}`, groups: ['system:bootstrappers', ...extraGroups] };
}
