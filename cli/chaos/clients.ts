// Pods that ask the run's Service by its name all the time, one on each host, and write every answer to the host's disk:
// so that it is still known when the pod, or the host, has gone in between.
import type { ApiClient } from '#lib/api-client/client.ts';
import { daemonSetKind } from '#lib/kinds/apps/daemon-set.ts';
import { isAlreadyExists } from '#lib/machinery/status-error.ts';
import { curlProblem } from '../curl-problem.ts';
import type { ObservedCluster } from './breakable.ts';
import { NotWhole } from './wholeness.ts';
import { CLIENTS_FOLDER, NAMESPACE, PROBE } from './workloads.ts';

const NAME = 'chaos-client';
const ASK_EVERY_S = 0.5;
const ANSWER_TIMEOUT_S = 2;
const FILE = 'answers';

/** Seconds since the machine started (whatever clocks say), HTTP status, and what curl ended with. */
const SCRIPT = `while :; do
  answer=$(curl -s -m ${ANSWER_TIMEOUT_S} -o /dev/null -w '%{http_code}' http://${PROBE}.${NAMESPACE}.svc.cluster.local./); end=$?
  read up idle </proc/uptime; echo "$up $answer $end" >>/data/${FILE}
  sleep ${ASK_EVERY_S}
done`;

export async function startClients(api: ApiClient): Promise<void> {
  const labels = { app: NAME };
  await api.create(daemonSetKind, {
    metadata: { name: NAME, namespace: NAMESPACE },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 1, tolerations: [{ operator: 'Exists' }],
          containers: [{ name: 'client', image: 'busybox', command: ['sh', '-c', SCRIPT], volumeMounts: [{ name: 'data', mountPath: '/data' }] }],
          volumes: [{ name: 'data', hostPath: { path: CLIENTS_FOLDER, type: 'DirectoryOrCreate' } }],
        },
      },
    },
  }).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
}

export interface ClientFigures {
  readonly requests: number;
  readonly failed: number;
  /** What was wrong, in curl's words, to how often. */
  readonly failures: Readonly<Record<string, number>>;
  /** Longest time in which no request of one client got an answer, of all clients; milliseconds. */
  readonly longestGapMs: number;
  /** Longest time in which no client anywhere got an answer; milliseconds. */
  readonly longestOutageMs: number;
}

interface Answer {
  readonly atMs: number;
  /** Empty for an answer that is as it should be. */
  readonly failure: string;
}

/** A line that was cut when its host went down says nothing, and is left out. */
export function parseAnswers(text: string): Answer[] {
  return text.split('\n').flatMap((line): Answer[] => {
    const [, up, status, end = ''] = /^(\d+\.\d+) (\d{3}) (\d+)$/.exec(line) ?? [];
    if (up === undefined) return [];
    const failure = status === '200' && end === '0' ? '' : end === '0' ? `status ${status}` : curlProblem(Number(end));
    return [{ atMs: Number(up) * 1000, failure }];
  });
}

/** One list for each client, in the order of their times. A client that was not running asked nothing: that is a gap, too. */
export function clientFigures(clients: readonly (readonly Answer[])[]): ClientFigures {
  const all = clients.flat();
  const failures: Record<string, number> = {};
  for (const { failure } of all) if (failure !== '') failures[failure] = (failures[failure] ?? 0) + 1;
  const longestGap = (answers: readonly Answer[]): number => {
    const times = answers.filter(({ failure }) => failure === '').map(({ atMs }) => atMs).sort((left, right) => left - right);
    return times.reduce((longest, atMs, index) => Math.max(longest, index === 0 ? 0 : atMs - (times[index - 1] ?? 0)), 0);
  };
  return {
    requests: all.length, failed: Object.values(failures).reduce((sum, count) => sum + count, 0), failures,
    longestGapMs: Math.round(Math.max(0, ...clients.map(longestGap))), longestOutageMs: Math.round(longestGap(all)),
  };
}

export async function readClients(cluster: ObservedCluster): Promise<ClientFigures> {
  const texts = await Promise.all(cluster.hosts.map(async ({ name }) => {
    const { code, stdout, stderr } = await cluster.on(name, 'cat', `${CLIENTS_FOLDER}/${FILE}`);
    if (code !== 0) throw new NotWhole(`the requests of ${name} are not to be read: ${stderr.trim()}`);
    return stdout;
  }));
  return clientFigures(texts.map(parseAnswers));
}

export async function forgetClients(cluster: ObservedCluster): Promise<void> {
  await Promise.all(cluster.hosts.map(({ name }) => cluster.on(name, 'rm', '-rf', CLIENTS_FOLDER)));
}
