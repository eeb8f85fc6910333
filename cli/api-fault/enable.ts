// Lets the API servers take rules, or no longer: a credential of its own, from an authority of its own whose key nobody keeps, and the
// flag that names it. Nobody else can use it, whoever administers the cluster included.
import { systemClock } from '#lib/environment/clock.ts';
import { createCertificateAuthority, issueCertificate } from '#lib/pki/certificate.ts';
import { kubeconfigText } from '#lib/pki/kubeconfig.ts';
import type { ClusterAccess } from '../access/cluster-access.ts';
import { API_PORT, mastersOf } from '../cluster-layout.ts';
import { changeApiServers, readOnHost, removeOnHost, writeOnHost } from '../control-plane/static-pod.ts';
import { API_FAULT_KUBECONFIG } from './control-answer.ts';

const PKI = '/etc/kubernetes/pki';
const AUTHORITY = `${PKI}/api-fault-ca.crt`;
const FLAG = 'emulator-api-fault-client-ca-file';
const USER = 'kubreak-api-fault';

/** Returns false when they do so already. */
export async function enableApiFaults(cluster: ClusterAccess): Promise<boolean> {
  const masters = mastersOf(cluster.hosts);
  const areThere = await Promise.all(masters.map(async ({ name }) => (await cluster.onHost(name, ['test', '-e', API_FAULT_KUBECONFIG])).code === 0));
  if (areThere.includes(false)) {
    const nowMs = systemClock.nowMs();
    const ca = await createCertificateAuthority({ commonName: 'kubreak-api-fault-ca', nowMs });
    const client = await issueCertificate({ ca, commonName: USER, usages: ['client'], nowMs });
    for (const { name, address } of masters) {
      const caPem = await readOnHost(cluster, name, `${PKI}/ca.crt`);
      await writeOnHost(cluster, name, AUTHORITY, ca.certPem, '0644');
      await writeOnHost(cluster, name, API_FAULT_KUBECONFIG, kubeconfigText({ server: `https://${address}:${API_PORT}`, caPem, user: USER, ...client }));
    }
  }
  return changeApiServers(cluster, () => ({ flags: { [FLAG]: AUTHORITY } }));
}

/** Returns false when they took none. */
export async function disableApiFaults(cluster: ClusterAccess): Promise<boolean> {
  const isChanged = await changeApiServers(cluster, () => ({ flags: { [FLAG]: undefined } }));
  for (const { name } of mastersOf(cluster.hosts)) await removeOnHost(cluster, name, AUTHORITY, API_FAULT_KUBECONFIG);
  return isChanged;
}
