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

export function hostBootScript(host: LabHost, config: LabConfig, bootId: string): string {
  const { folder } = host;
  const root = `${folder}/root`;
  const { rootlessBase } = config;
  const binds = config.dataFolders.map((path) => `mkdir -p ${quoted(root + path)}; mount --bind ${quoted(`${folder}/data${path}`)} ${quoted(root + path)}`);
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
mount -t proc proc proc
mount -t sysfs sysfs sys
if [ -d sys/fs/cgroup ]; then mount --rbind /sys/fs/cgroup sys/fs/cgroup; fi
${rootlessBase === undefined ? `mount --rbind /dev dev
${OWN_TERMINALS}` : OWN_DEVICES}
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=1777 tmpfs dev/shm
${binds.join('\n')}
mkdir -p opt/kubreak/dist opt/kubreak/node_modules opt/kubreak/bin usr/local/bin run/kubreak run/netns
mount --bind ${quoted(config.dist)} opt/kubreak/dist
mount --bind ${quoted(config.nodeModules)} opt/kubreak/node_modules
[ -e usr/local/bin/node ] || : > usr/local/bin/node
mount --bind ${quoted(config.nodeExecutable)} usr/local/bin/node
${rootlessBase === undefined ? '' : 'mkdir run/kubreak/sys\nmount -t sysfs sysfs run/kubreak/sys # `ip netns exec` takes /sys away before it mounts another, which needs one to be in sight'}
echo ${bootId} > run/kubreak/boot_id
mount --bind run/kubreak/boot_id proc/sys/kernel/random/boot_id
pivot_root . .
umount -l .
cd /
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/sh -c ${quoted(INIT_LOOP)} ${HOST_INIT_NAME} ${host.name}
`;
}
