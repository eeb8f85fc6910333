// The boot of a host as a shell script: it runs in fresh mount, PID, UTS and IPC namespaces and in the host's network
// namespace, builds the host's root and becomes PID 1 of it.
import { HOST_INIT_NAME, type LabConfig, type LabHost } from './lab-config.ts';

/**
 * PID 1: reaps orphans (a shell does so while it waits), keeps the supervisor running, and ends on SIGTERM, with which
 * the kernel ends everything else on the host.
 */
const INIT_LOOP = `trap 'exit 0' TERM INT
while :; do
  MALLOC_ARENA_MAX=1 MALLOC_TRIM_THRESHOLD_=131072 MALLOC_MMAP_THRESHOLD_=16384 node --max-semi-space-size=1 --use-openssl-ca /opt/kubreak/dist/node.js >>/var/log/node.log 2>&1 & pid=$!
  while kill -0 $pid 2>/dev/null; do wait $pid; done
  sleep 1 & wait $!
done`;

// Nothing of the environment in which `kubreak up` was typed reaches a host (see `env -i` below).
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Controllers of cgroup v1 and the single tree of v2: a host's processes are in a group of their own where possible. */
export const CGROUP_CONTROLLERS = ['memory', 'cpu', 'cpuacct', 'cpu,cpuacct', 'pids', 'freezer', 'blkio', ''] as const;

const overlay = (at: string, lower: string, upper: string, work: string, options = ''): string =>
  `mount -t overlay overlay -o ${quoted(`lowerdir=${lower},upperdir=${upper},workdir=${work}${options}`)} ${quoted(at)}`;

const rootOverMachine = (folder: string): string => overlay(`${folder}/root`, '/', `${folder}/upper`, `${folder}/work`);

/**
 * In a user namespace the machine's root cannot be a lower layer, for other mounts lie in it; its /usr can. Attributes named
 * user.* serve the overlay instead of trusted.*.
 */
const rootOverBase = (folder: string, base: string): string => [
  overlay(`${folder}/root`, `${base}/root`, `${folder}/upper`, `${folder}/work`, ',userxattr'),
  overlay(`${folder}/root/usr`, `${base}/usr:/usr`, `${folder}/usr-upper`, `${folder}/usr-work`, ',userxattr'),
].join('\n');

/** Nobody can make device files in a user namespace: the harmless ones of the machine are shown. */
const OWN_DEVICES = `mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/pts dev/shm dev/mqueue
for d in null zero full random urandom tty; do
  : > dev/$d
  mount --bind /dev/$d dev/$d
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr`;

/** The machine's own terminals do not show: containers see those of their host, so that `tty` finds its terminal there. */
const OWN_TERMINALS = 'mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts dev/pts';

/** A line of fstab(5). */
const mountLine = (source: string, target: string, type: string, options: string): string =>
  `${[source, target, type, options].map((field) => field.replaceAll(' ', '\\040').replaceAll('\t', '\\011')).join(' ')} 0 0`;

export function hostBootScript(host: LabHost, config: LabConfig, bootId: string): string {
  const { folder } = host;
  const root = `${folder}/root`;
  const { rootlessBase } = config;
  const bind = (source: string, target: string): string => mountLine(source, `${root}${target}`, 'none', 'bind,X-mount.mkdir');
  // All by one mount(8): the processes were most of what a boot took.
  const mounts = [
    mountLine('proc', `${root}/proc`, 'proc', 'defaults'),
    mountLine('sysfs', `${root}/sys`, 'sysfs', 'defaults'),
    mountLine('tmpfs', `${root}/run`, 'tmpfs', 'mode=755'),
    mountLine('tmpfs', `${root}/tmp`, 'tmpfs', 'mode=1777'),
    ...config.dataFolders.map((path) => bind(`${folder}/data${path}`, path)),
    bind(config.dist, '/opt/kubreak/dist'),
    bind(config.nodeModules, '/opt/kubreak/node_modules'),
    mountLine(config.nodeExecutable, `${root}/usr/local/bin/node`, 'none', 'bind'),
  ];
  return `set -e
cd /
mount --make-rprivate /
for c in ${CGROUP_CONTROLLERS.map((name) => quoted(name)).join(' ')}; do
  p=/sys/fs/cgroup/$c/${config.cgroup}/${host.name}/host
  [ -e "$p/cgroup.procs" ] && echo 0 > "$p/cgroup.procs" || :
done
hostname ${host.name}
${rootlessBase === undefined ? rootOverMachine(folder) : rootOverBase(folder, rootlessBase)}
cd ${quoted(root)}
[ -d usr/local/bin ] || mkdir -p usr/local/bin
[ -e usr/local/bin/node ] || : > usr/local/bin/node
printf '%s\n' ${mounts.map(quoted).join(' ')} >/run/kubreak/${host.name}.fstab
mount --all --fstab /run/kubreak/${host.name}.fstab
if [ -d sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup sys/fs/cgroup; fi
${rootlessBase === undefined ? `mount --rbind /dev dev
${OWN_TERMINALS}` : OWN_DEVICES}
mount -t tmpfs -o mode=1777 tmpfs dev/shm
mkdir -p opt/kubreak/bin run/kubreak run/netns
${rootlessBase === undefined ? '' : 'mkdir run/kubreak/sys\nmount -t sysfs sysfs run/kubreak/sys # `ip netns exec` takes /sys away before it mounts another, which needs one to be in sight'}
echo ${bootId} > run/kubreak/boot_id
mount --bind run/kubreak/boot_id proc/sys/kernel/random/boot_id
pivot_root . .
umount -l .
cd /
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c ${quoted(INIT_LOOP)} ${HOST_INIT_NAME} ${host.name}
`;
}
