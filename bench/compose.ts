// Measures `docker compose up`, with the image built: a new cluster, and one with data from before. Run `npm run
// bench:compose` on a quiet machine with a Docker Engine. Prints one JSON object.
import { connectToApiserver } from '#lib/api-client/client.ts';
import { leaseKind } from '#lib/kinds/coordination/lease.ts';
import { nodeKind } from '#lib/kinds/core/node.ts';
import { podKind } from '#lib/kinds/core/pod.ts';
import { loadKubeconfig } from '#lib/pki/kubeconfig.ts';
import { ComposeCluster } from '../test/compose/cluster.ts';

const HOSTS = 4;
const DEADLINE_MS = 180_000;
const POLL_MS = 100;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Seconds from `docker compose up` to four Ready nodes and CoreDNS Running, none of it told from before. */
async function upSeconds(cluster: ComposeCluster): Promise<number> {
  const startedMs = performance.now();
  const startedAtMs = Math.floor(Date.now() / 1000) * 1000;
  await cluster.up();
  const api = connectToApiserver(await loadKubeconfig(cluster.kubeconfig), 'kubreak-bench');
  const isNew = (time: string | undefined): boolean => time !== undefined && Date.parse(time) >= startedAtMs;
  const isUp = async (): Promise<boolean> => {
    const [nodes, leases, dns] = await Promise.all([api.list(nodeKind), api.list(leaseKind, { namespace: 'kube-node-lease' }), api.list(podKind, { namespace: 'kube-system', labelSelector: 'k8s-app=kube-dns' })]);
    const alive = new Set(leases.items.filter(({ spec }) => isNew(spec?.renewTime)).map(({ metadata }) => metadata.name));
    return nodes.items.filter(({ metadata, status }) => alive.has(metadata.name) && status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True')).length === HOSTS
      && dns.items.length > 0 && dns.items.every(({ status }) => status?.containerStatuses?.every(({ state }) => isNew(state?.running?.startedAt)) === true);
  };
  try {
    while (performance.now() - startedMs < DEADLINE_MS) {
      if (await isUp().catch(() => false)) return (performance.now() - startedMs) / 1000; // while it starts it refuses
      await sleep(POLL_MS);
    }
    throw new Error(`the cluster did not come up within ${DEADLINE_MS / 1000} s`);
  } finally {
    await api.close();
  }
}

const cluster = await ComposeCluster.prepare();
try {
  const firstUpSeconds = await upSeconds(cluster);
  await cluster.composeOk(['down', '-t', '1']);
  const secondUpSeconds = await upSeconds(cluster);
  process.stdout.write(`${JSON.stringify({ firstUpSeconds, secondUpSeconds }, null, 2)}\n`);
} finally {
  await cluster.down();
}
