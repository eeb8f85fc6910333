// The last steps of `kubeadm init`, once the API server answers: roles, addons, the control plane's label. May be repeated:
// it is, from the beginning, when the master went down in the middle.
import { applyAddons, bindClusterAdmins, markControlPlane } from '../../bootstrap-objects.ts';
import type { HostLayout } from '../../cluster-layout.ts';
import { connectToApiserver, TransportError } from '#lib/api-client/client.ts';
import { systemClock } from '#lib/environment/clock.ts';
import { StatusError } from '#lib/machinery/status-error.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';

const RETRY_MS = 100;

export async function initializeCluster(hosts: readonly HostLayout[], isFast: boolean): Promise<void> {
  const admin = await loadKubeconfig('/etc/kubernetes/admin.conf');
  const api = connectToApiserver(admin, 'kubreak');
  const steps = [
    () => api.request('GET', '/readyz'),
    () => bindClusterAdmins('/etc/kubernetes/super-admin.conf', admin.server),
    () => applyAddons(api, hosts, isFast),
    () => markControlPlane(api, hosts), // fails until the master's kubelet has registered it
  ];
  try {
    for (const step of steps) {
      for (;;) {
        try {
          await step();
          break;
        } catch (error) {
          if (!(error instanceof TransportError) && !(error instanceof StatusError)) throw error;
          await systemClock.sleep(RETRY_MS);
        }
      }
    }
  } finally {
    await api.close();
  }
}
