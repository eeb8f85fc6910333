// /var/lib/kubelet/config.yaml as kubeadm writes it, with this cluster's addresses.
import { stringify } from 'yaml';
import { CLUSTER_DNS } from '../cluster-layout.ts';
import { FAST_KUBELET } from './fast-failure-detection.ts';

export interface KubeletConfigOptions {
  readonly isControlPlane: boolean;
  readonly cgroupRoot: string;
  /** What pods get that do not ask the cluster's DNS, CoreDNS above all. Default: /etc/resolv.conf. */
  readonly resolvConf?: string;
  /** With the timings of fast-failure-detection.ts. */
  readonly isFast?: boolean;
}

export function kubeletConfiguration({ isControlPlane, cgroupRoot, resolvConf = '/etc/resolv.conf', isFast = false }: KubeletConfigOptions): string {
  return stringify({
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: { anonymous: { enabled: false }, webhook: { cacheTTL: '2m0s', enabled: true }, x509: { clientCAFile: '/etc/kubernetes/pki/ca.crt' } },
    authorization: { mode: 'Webhook', webhook: { cacheAuthorizedTTL: '5m0s', cacheUnauthorizedTTL: '30s' } },
    cgroupDriver: 'cgroupfs',
    cgroupRoot,
    clusterDNS: [CLUSTER_DNS],
    clusterDomain: 'cluster.local',
    // The disk is the machine's, and the nodes share it: upstream's thresholds would evict everything from a laptop that is nine tenths
    // full. Only one without any room counts (`kubreak disk --full` makes one); memory is left at upstream's.
    evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '1Mi', 'nodefs.inodesFree': '0%', 'imagefs.available': '1Mi', 'imagefs.inodesFree': '0%' },
    imageGCHighThresholdPercent: 100,
    healthzBindAddress: '127.0.0.1',
    healthzPort: 10248,
    resolvConf,
    rotateCertificates: false,
    staticPodPath: '/etc/kubernetes/manifests',
    ...(isFast ? FAST_KUBELET : {}),
    ...(isControlPlane ? { registerWithTaints: [{ key: 'node-role.kubernetes.io/control-plane', effect: 'NoSchedule' }] } : {}),
  });
}
