// Wires kube-controller-manager: health server, leader election, then all controllers over shared caches.
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { Gauge } from 'prom-client';
import { ApiClient, connectToApiserver, transportFor } from '#lib/api-client/client.ts';
import { delegatedAccess } from '#lib/api-client/delegated-access.ts';
import { EventRecorder } from '#lib/api-client/event-recorder.ts';
import { runAsLeader } from '#lib/api-client/leader-election.ts';
import { waitForApiserver } from '#lib/api-client/wait-for-apiserver.ts';
import { runControllers } from '#lib/controller/run-controllers.ts';
import { SharedCache } from '#lib/controller/shared-cache.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { selfSignedServerCertificate } from '#lib/pki/certificate.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import type { Flags } from '#lib/service/flags.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { allControllers, isEnabled } from './controllers/registry.ts';
import { tokenSigner } from './controllers/serviceaccount-token/secret-token.ts';
import { clientsByServiceAccount } from './edge/service-account-clients.ts';
import { configz } from './edge/configz.ts';
import type { controllerManagerFlags } from './flags.ts';

const NAME = 'kube-controller-manager';
/** Metadata where the server offers it, whole objects else. */
const METADATA_ONLY = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json';

/** Settles when the signal has aborted and everything has ended; throws LeadershipLost when the lease is lost. */
export async function startControllerManager(flags: Flags<typeof controllerManagerFlags>, { clock, random, log }: Environment, signal: AbortSignal): Promise<void> {
  const access = await loadKubeconfig(flags.kubeconfig);
  const rootCaPem = flags.rootCaFile === '' ? '' : await readFile(flags.rootCaFile, 'utf8');
  const signer = flags.serviceAccountPrivateKeyFile === '' ? undefined : tokenSigner(await readFile(flags.serviceAccountPrivateKeyFile, 'utf8'));
  const transport = transportFor(access);
  const root = connectToApiserver(access, NAME, transport);
  const metadataApi = new ApiClient({ ...access, accept: METADATA_ONLY }, `${NAME}/v1.36.2 (linux/amd64) kubernetes/kubreak/metadata-informers`, transport);
  const metrics = newMetrics();
  const leaderStatus = new Gauge({
    name: 'leader_election_master_status', registers: [metrics], labelNames: ['name'],
    help: "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.",
  });
  const lease = flags.leaderElectResourceName;
  leaderStatus.set({ name: lease }, 0);
  await startHealthServer({
    host: flags.bindAddress, port: flags.securePort, tls: await servingCertificate(flags, clock.nowMs()), metrics, signal,
    ...(flags.authenticationKubeconfig === '' ? {} : { authorize: delegatedAccess(root, clock) }),
    routes: { '/configz': configz(flags) },
  });

  const lead = async (leading: AbortSignal): Promise<void> => {
    setMaxListeners(0, leading);
    leaderStatus.set({ name: lease }, 1);
    const cache = new SharedCache({ api: root, clock, random, log });
    const controllers = allControllers({ flags, rootCaPem, metadataApi, api: root, signer }).filter(({ name }) => isEnabled(name, flags.controllers));
    const clientFor = clientsByServiceAccount({ access, root, useServiceAccounts: flags.useServiceAccountCredentials, clock, log });
    await runControllers({ controllers, cache, clientFor, metrics, clock, random, log, signal: leading });
  };
  try {
    await waitForApiserver(root, clock, signal);
    if (!flags.leaderElect) return await lead(signal);
    const identity = `${hostname()}_${randomUUID()}`;
    const events = new EventRecorder({ api: root, component: NAME, clock, log, signal });
    await runAsLeader({
      api: root, namespace: flags.leaderElectResourceNamespace, name: lease, identity, leaseDurationMs: flags.leaderElectLeaseDurationMs,
      renewDeadlineMs: flags.leaderElectRenewDeadlineMs, retryPeriodMs: flags.leaderElectRetryPeriodMs, clock, random, log, signal,
    }, async (leading) => {
      const reference = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace: flags.leaderElectResourceNamespace, name: lease };
      events.event(reference, 'Normal', 'LeaderElection', `${identity} became leader`);
      await lead(leading);
    });
  } finally {
    leaderStatus.set({ name: lease }, 0);
    await Promise.all([root.close(), metadataApi.close()]);
  }
}

async function servingCertificate({ tlsCertFile, tlsPrivateKeyFile }: Flags<typeof controllerManagerFlags>, nowMs: number): Promise<{ cert: string; key: string }> {
  if (tlsCertFile !== '') return { cert: await readFile(tlsCertFile, 'utf8'), key: await readFile(tlsPrivateKeyFile, 'utf8') };
  const { certPem, keyPem } = await selfSignedServerCertificate({ commonName: hostname(), dnsNames: [hostname(), 'localhost'], ipAddresses: ['127.0.0.1'], nowMs });
  return { cert: certPem, key: keyPem };
}
