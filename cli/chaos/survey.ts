// What is on a host at one moment: processes of pods, namespaces, interfaces, mounts, control groups, records and folders of
// pods, and addresses in rules. `oddities` compares it with the pods that the API server has: whatever belongs to none is
// left over, and what is there twice runs twice.
import { decodeMessage } from '#lib/cri/codec.ts';
import type { ContainerConfig, PodSandboxConfig } from '#lib/cri/messages.ts';

export interface HostSurvey {
  readonly host: string;
  /** One for each process in a pod's control group. */
  readonly processes: readonly { readonly podUid: string; readonly containerId: string }[];
  readonly zombies: readonly string[];
  readonly namespaces: readonly string[];
  readonly interfaces: readonly string[];
  readonly mounts: readonly string[];
  readonly groups: readonly string[];
  readonly folders: readonly string[];
  /** Of pods, in routes and in the rules of kube-proxy and calico-node. */
  readonly addresses: readonly { readonly where: string; readonly address: string }[];
  readonly tables: readonly string[];
  readonly sandboxes: readonly { readonly id: string; readonly podUid: string; readonly phase: string; readonly address: string; readonly netns: string; readonly hostInterface: string }[];
  readonly containers: readonly { readonly id: string; readonly podUid: string; readonly name: string; readonly phase: string }[];
}

/** A pod as the API server has it. */
export interface KnownPod {
  /** Static pods run under the hash of their file. */
  readonly uid: string;
  readonly name: string;
  readonly host: string;
  readonly address: string;
  readonly isHostNetwork: boolean;
}

const UID = '[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}';
/** One line each: a word that says what it is, and the thing. */
export const SURVEY_SCRIPT = String.raw`
perl -e '
  opendir my $d, "/proc"; my $root = "";
  for my $pid (grep { /^\d+$/ } readdir $d) {
    open my $s, "<", "/proc/$pid/stat" or next; my $stat = <$s> // next; close $s;
    my ($comm, $state, $ppid) = $stat =~ /\((.*)\) (\S) (\d+)/ or next;
    print "zombie $comm($pid) of $ppid\n" if $state eq "Z";
    open my $c, "<", "/proc/$pid/cgroup" or next; my $group = join "", <$c>; close $c;
    $root = $1 if $group =~ m{^\d+:(?:pids)?:(\S*/kubepods)/}m;
    print "process $1 $2\n" if $group =~ m{/pod([0-9a-f-]{32,36})/([0-9a-f]{64})};
  }
  if ($root ne "") { for my $h (glob "/sys/fs/cgroup/{pids,memory,cpu,}") { print "group $_\n" for grep { -d } glob "$h$root/{,burstable/,besteffort/}pod*"; } }
'
ls /run/netns 2>/dev/null | sed 's/^/netns /'
ip -o link | sed -n 's/^[0-9]*: \(cali[^:@]*\).*/interface \1/p'
ip -4 route | sed -n 's/^\(172\.16\.[0-9]*\.[0-9]*\) dev cali.*/address route \1/p'
sed -n 's/^\S* \S* \S* \S* \(\/\(run\/containerd\|var\/lib\/kubelet\/pods\)\/\S*\).*/mount \1/p' /proc/self/mountinfo
ls -d /var/lib/kubelet/pods/* /var/log/pods/* 2>/dev/null | sed 's/^/folder /'
nft list tables | sed 's/^table /table /'
for t in kube-proxy calico calico-policy; do nft list table ip $t 2>/dev/null | grep -oE '172\.16\.[0-9]+\.[0-9]+\b[^/]' | grep -oE '^[0-9.]+' | sort -u | sed "s/^/address $t /"; done
for f in /var/lib/containerd/sandboxes/*/record.json; do [ -e "$f" ] && printf 'sandbox %s\n' "$(cat $f)"; done
for f in /var/lib/containerd/containers/*/record.json; do [ -e "$f" ] && printf 'container %s\n' "$(cat $f)"; done
true`;

interface Saved {
  readonly id: string;
  readonly config: string;
  readonly phase: string;
  readonly address?: string;
  readonly netns?: string;
  readonly hostInterface?: string;
}

export function parseSurvey(host: string, text: string): HostSurvey {
  const of = (what: string): string[] => text.split('\n').filter((line) => line.startsWith(`${what} `)).map((line) => line.slice(what.length + 1));
  const saved = (what: string): Saved[] => of(what).map((line) => JSON.parse(line) as Saved);
  const pair = (line: string): [string, string] => line.split(' ') as [string, string];
  return {
    host,
    processes: of('process').map(pair).map(([podUid, containerId]) => ({ podUid, containerId })),
    zombies: of('zombie'), namespaces: of('netns'), interfaces: of('interface'), mounts: of('mount'), groups: of('group'), folders: of('folder'), tables: of('table'),
    addresses: of('address').map(pair).map(([where, address]) => ({ where, address })),
    sandboxes: saved('sandbox').map(({ id, config, phase, address = '', netns = '', hostInterface = '' }) => {
      const { metadata } = decodeMessage('PodSandboxConfig', Buffer.from(config, 'base64')) as unknown as PodSandboxConfig;
      return { id, phase, address, netns, hostInterface, podUid: metadata?.uid ?? '' };
    }),
    containers: saved('container').map(({ id, config, phase }) => {
      const { labels, metadata } = decodeMessage('ContainerConfig', Buffer.from(config, 'base64')) as unknown as ContainerConfig;
      return { id, phase, podUid: labels['io.kubernetes.pod.uid'] ?? '', name: metadata?.name ?? '' };
    }),
  };
}

/** Tables that are no rest of anything. */
const TABLES = ['ip kube-proxy', 'ip calico', 'ip calico-policy', 'ip kubreak-hostports', 'ip nat', 'ip filter', 'ip gateway'];
/** Dead containers and sandboxes that the kubelet may keep for each of a pod beside the one that runs. */
const KEPT = 1;

/** In words that stay the same as long as the thing does. */
export function oddities(survey: HostSurvey, allPods: readonly KnownPod[]): string[] {
  const pods = allPods.filter(({ host }) => host === survey.host);
  const uids = new Set(pods.map(({ uid }) => uid));
  const found: string[] = [];
  const strangers = (what: string, things: readonly string[], uidOf: (thing: string) => string | undefined): void => {
    for (const thing of new Set(things)) {
      const uid = uidOf(thing);
      if (uid !== undefined && !uids.has(uid)) found.push(`${what} of no pod: ${thing}`);
    }
  };
  const uidIn = (thing: string): string | undefined => new RegExp(UID).exec(thing)?.[0];
  strangers('process', survey.processes.map(({ podUid, containerId }) => `${podUid} ${containerId}`), (thing) => thing.split(' ')[0]);
  strangers('control group', survey.groups, (thing) => thing.slice(thing.lastIndexOf('/pod') + '/pod'.length));
  strangers('folder', survey.folders, (thing) => uidIn(thing.slice(Math.max(thing.lastIndexOf('_'), thing.lastIndexOf('/')) + 1)));
  strangers('mount', survey.mounts.filter((mount) => mount.startsWith('/var/lib/kubelet/')), uidIn);
  for (const { id, podUid } of survey.sandboxes) if (!uids.has(podUid)) found.push(`sandbox of no pod: ${id}`);
  for (const { id, podUid } of survey.containers) if (!uids.has(podUid)) found.push(`container of no pod: ${id}`);

  const ready = survey.sandboxes.filter(({ phase }) => phase === 'ready');
  const readyIds = new Set(ready.map(({ id }) => id));
  const isOwned = (thing: string, field: 'netns' | 'hostInterface'): boolean => ready.some((sandbox) => sandbox[field] === thing);
  for (const name of survey.namespaces) if (!isOwned(name, 'netns')) found.push(`network namespace of no sandbox: ${name}`);
  for (const name of survey.interfaces) if (!isOwned(name, 'hostInterface')) found.push(`interface of no sandbox: ${name}`);
  for (const mount of survey.mounts) {
    const id = /^\/run\/containerd\/sandboxes\/([0-9a-f]+)\//.exec(mount)?.[1];
    if (id !== undefined && !readyIds.has(id)) found.push(`mount of no sandbox: ${mount}`);
  }
  for (const table of survey.tables) if (!TABLES.includes(table)) found.push(`unknown nft table: ${table}`);
  for (const zombie of survey.zombies) found.push(`zombie: ${zombie}`);

  const live = new Set(allPods.filter(({ isHostNetwork }) => !isHostNetwork).map(({ address }) => address));
  for (const { where, address } of survey.addresses) if (!live.has(address)) found.push(`${where} has an address of no pod: ${address}`);

  for (const { uid, name } of pods) {
    const sandboxes = survey.sandboxes.filter(({ podUid }) => podUid === uid);
    const running = sandboxes.filter(({ phase }) => phase === 'ready').length;
    if (running > 1) found.push(`${name} has ${running} sandboxes`);
    if (sandboxes.length - running > KEPT) found.push(`${name} has too many dead sandboxes`);
    const containers = survey.containers.filter(({ podUid }) => podUid === uid);
    for (const container of new Set(containers.map((each) => each.name))) {
      const all = containers.filter((each) => each.name === container);
      const alive = all.filter(({ phase }) => phase === 'running').length;
      if (alive > 1) found.push(`${name} runs ${container} ${alive} times`);
      if (all.length - alive > KEPT) found.push(`${name} has too many dead containers ${container}`);
    }
    const recorded = new Set(containers.map(({ id }) => id));
    for (const id of new Set(survey.processes.filter(({ podUid }) => podUid === uid).map(({ containerId }) => containerId))) {
      if (!recorded.has(id)) found.push(`${name} has processes of an unknown container ${id}`);
    }
  }
  return found.map((what) => `${survey.host}: ${what}`);
}

/** How long something may be there that nobody needs: the kubelet collects once a minute, and may have been restarted. */
const PATIENCE_MS = 180_000;

/** Remembers since when each oddity is there. */
export class OddityWatch {
  readonly #since = new Map<string, number>();

  /** Those that should have been gone by now. */
  note(found: readonly string[], nowMs: number, patienceMs = PATIENCE_MS): string[] {
    for (const known of [...this.#since.keys()]) if (!found.includes(known)) this.#since.delete(known);
    for (const what of found) if (!this.#since.has(what)) this.#since.set(what, nowMs);
    return found.filter((what) => nowMs - (this.#since.get(what) ?? nowMs) >= patienceMs);
  }
}
