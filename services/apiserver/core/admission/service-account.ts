// ServiceAccount: every pod runs as one, and finds its token where in-cluster clients look.
// Source: plugin/pkg/admission/serviceaccount/admission.go.
import type { Clock } from '#lib/environment/clock.ts';
import { randomSuffix, type Random } from '#lib/environment/random.ts';
import { serviceAccountKind } from '#lib/kinds/core/service-account.ts';
import type { Pod, ServiceAccount } from '#lib/kinds/types/core-v1.ts';
import { forbidden } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionPlugin } from './admission.ts';
import { isMirrorPod, usesSecrets, usesTokenProjections } from './mirror-pod.ts';

const DEFAULT_NAME = 'default';
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME_PREFIX = 'kube-api-access-';
/** One hour and seven seconds: told apart from what people ask for. */
const TOKEN_EXPIRATION_SECONDS = 60 * 60 + 7;
/** The controller manager makes the default account right after the namespace: worth waiting for. */
const DEFAULT_ATTEMPTS = 10;
const RETRY_MS = 100;

export interface ServiceAccountAdmissionOptions {
  readonly objects: ObjectReader;
  readonly clock: Clock;
  readonly random: Random;
}

export function serviceAccountAdmission({ objects, clock, random }: ServiceAccountAdmissionOptions): AdmissionPlugin {
  async function find(namespace: string, name: string): Promise<Readonly<ServiceAccount> | undefined> {
    const attempts = name === DEFAULT_NAME ? DEFAULT_ATTEMPTS : 1;
    for (let attempt = 1; ; attempt += 1) {
      const found = objects.cached(serviceAccountKind, namespace, name) ?? await objects.read(serviceAccountKind, namespace, name);
      if (found || attempt >= attempts) return found;
      await clock.sleep(RETRY_MS * (1 + random.fraction()));
    }
  }
  return {
    name: 'ServiceAccount',
    admit: async ({ operation, kind, subresource, namespace, object }) => {
      if (operation !== 'CREATE' || kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
      const pod = object as Pod;
      const { spec } = pod;
      if (!spec) return;
      const refuse = (text: string): Error => forbidden(kind, pod.metadata.name ?? '', text);
      if (isMirrorPod(pod)) {
        if (spec.serviceAccountName) throw refuse('a mirror pod may not reference service accounts');
        if (usesSecrets(pod)) throw refuse('a mirror pod may not reference secrets');
        if (usesTokenProjections(pod)) throw refuse('a mirror pod may not use ServiceAccountToken volume projections');
        return;
      }
      const name = spec.serviceAccountName || DEFAULT_NAME;
      spec.serviceAccountName = name;
      spec.serviceAccount = name;
      const account = await find(namespace, name);
      if (!account) throw refuse(`error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`);
      if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(spec, random);
      if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
        spec.imagePullSecrets = (account.imagePullSecrets ?? []).map((one) => ({ ...one }));
      }
    },
  };
}

function mountToken(spec: NonNullable<Pod['spec']>, random: Random): void {
  const known = spec.volumes?.find(({ name }) => name.startsWith(VOLUME_PREFIX));
  const volume = known?.name ?? `${VOLUME_PREFIX}${randomSuffix(random, 5)}`;
  let isMounted = false;
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    if (container.volumeMounts?.some(({ mountPath }) => mountPath === MOUNT_PATH)) continue;
    container.volumeMounts = [...(container.volumeMounts ?? []), { name: volume, readOnly: true, mountPath: MOUNT_PATH }];
    isMounted = true;
  }
  if (known || !isMounted) return;
  spec.volumes = [...(spec.volumes ?? []), {
    name: volume,
    projected: {
      defaultMode: 0o644,
      sources: [
        { serviceAccountToken: { expirationSeconds: TOKEN_EXPIRATION_SECONDS, path: 'token' } },
        { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
    },
  }];
}
