#!/bin/sh
# PID 1 of every container of docker-compose.yml.
#   entrypoint.sh host               this container is a host: boots it, and boots it again after a reboot
#   entrypoint.sh process COMPONENT  the place where a process of the control plane runs (agent/agent.ts)
#   entrypoint.sh balancer           what clients on the machine take for the API server when there are several masters
set -eu
here=/opt/kubreak/cli/compose
case ${1:-} in
  process) exec env MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --use-openssl-ca /opt/kubreak/dist/compose-agent.js "$2" ;;
  balancer) exec env MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --use-openssl-ca /opt/kubreak/dist/compose-host.js balance ;;
  host) ;;
  *) exec "$@" ;;
esac

host=$(hostname)
disk=/var/lib/kubreak # on the volume, which is all that outlives the container
shared=$disk/control-plane

# What a boot mounts shows to `docker exec` too, and the other way round; all but /proc (see boot.sh).
mount --make-rshared /

# Folders of the host that outlive the container.
for path in /etc/cni /etc/containerd /etc/kubernetes /etc/kubreak /etc/sysctl.d /home /media /mnt /root /srv /var/log; do
  mountpoint -q $path && continue
  mkdir -p $path
  [ -e $disk/data$path ] || { mkdir -p $disk/data$path && cp -a $path/. $disk/data$path/; }
  mount --bind $disk/data$path $path
done

# The container's own control groups, which Docker mounts read-only.
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -o remount,rw,bind /sys/fs/cgroup
  # Version 2: only groups without processes may hand controllers down.
  mkdir -p /sys/fs/cgroup/init
  while read -r pid; do echo "$pid" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || :; done </sys/fs/cgroup/cgroup.procs
  for name in $(cat /sys/fs/cgroup/cgroup.controllers); do echo "+$name" >/sys/fs/cgroup/cgroup.subtree_control || :; done
else
  for group in /sys/fs/cgroup/*/; do mount -o remount,rw,bind "$group" 2>/dev/null || :; done
fi

if [ ! -e /opt/kubreak/.started ]; then
  # A new container: what `kubreak disk`, `kubreak clock` and `kubreak stop` did to its disk in an earlier one is over.
  for manifest in /etc/kubernetes/manifests-stopped/*.yaml; do [ ! -e "$manifest" ] || mv "$manifest" /etc/kubernetes/manifests/; done
  rm -f /var/lib/etcd/.kubreak-disk-fault /var/lib/kubelet/.kubreak-disk-fault /var/lib/containerd/.kubreak-disk-fault /etc/kubreak/clock/offset $shared/clock/offset
  : >/opt/kubreak/.started
fi
rm -f $disk/off $shared/off

# The network's gateway is the machine, which sends what it does not know to its own: no router out there knows pods and services.
away="rt ip nexthop ${K8S_SUBNET:-192.168.1}.1 ip daddr { 172.16.0.0/16, 10.96.0.0/12 } reject with icmp type net-unreachable"
nft -f - <<END
table ip gateway
delete table ip gateway
table ip gateway {
  chain output {
    type filter hook output priority 0
    $away
  }
  chain forward {
    type filter hook forward priority 0
    $away
  }
}
END

if [ -d $shared ]; then
  # The processes of the control plane have to be in this network: they compare this with their own (agent/agent.ts).
  readlink /proc/self/ns/net >$shared/netns.new && mv $shared/netns.new $shared/netns
fi
made_for=${K8S_SUBNET:-}
case ,${COMPOSE_PROFILES:-}, in *,ha,*) made_for="$made_for ha" ;; esac
[ -z "${K8S_FAST_FAILURE_DETECTION:-}" ] || made_for="$made_for fast"
# The installation, once: certificates and configuration, or what the master gives to a host that joins.
if [ ! -e /etc/kubreak/installed ]; then
  node /opt/kubreak/dist/compose-host.js install "$host"
  echo "$made_for" >/etc/kubreak/installed
fi
if [ "$(cat /etc/kubreak/installed)" != "$made_for" ]; then
  echo "the data of this cluster are for another network, number of masters or timings (K8S_SUBNET, COMPOSE_PROFILES, K8S_FAST_FAILURE_DETECTION: $(cat /etc/kubreak/installed); now: $made_for): set them so, or delete the data with: docker compose down -v" >&2
  exit 1
fi
runtime=${CONTAINER_RUNTIME:-kubreak}
if [ "$(cat /etc/kubreak/runtime 2>/dev/null || echo kubreak)" != "$runtime" ]; then
  node /opt/kubreak/dist/compose-host.js runtime "$host" "$runtime"
  echo "$runtime" >/etc/kubreak/runtime
fi
cp /etc/kubreak/machine-id /etc/machine-id
grep -q "# cluster" /etc/hosts || { echo "# cluster"; grep -v "	$host\$" /etc/kubreak/hosts; } >>/etc/hosts # bound by Docker: no replacing

boot=
# unshare itself does not listen: its child, PID 1 of the boot, has to be asked.
trap 'trap "" TERM INT; [ -z "$boot" ] || pkill -TERM -P "$boot"; wait; exit 0' TERM INT
while :; do
  # Power off: no process is left. What is gone with them on a real host goes here: memory file systems, namespaces, groups.
  for path in $(cut -d" " -f5 /proc/self/mountinfo | grep -E "^(/run|/tmp)(/|$)|^/var/lib/kubelet/" | sort -r); do umount -l "$path" || :; done
  find /sys/fs/cgroup -mindepth 2 -depth -type d -path "*/kubepods*" -exec rmdir {} + 2>/dev/null || :
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs -o mode=1777 tmpfs /tmp
  mkdir -p /run/kubreak /run/netns /run/lock
  while [ -e $disk/off ]; do sleep 0.2; done # `kubreak poweroff`
  cat /proc/sys/kernel/random/uuid >/run/kubreak/boot_id
  unshare --pid --ipc --mount --propagation unchanged --fork --kill-child=SIGKILL sh $here/boot.sh "$host" &
  boot=$!
  [ ! -e /etc/kubernetes/super-admin.conf ] || [ -e /etc/kubreak/initialized ] || node /opt/kubreak/dist/compose-host.js initialize &
  wait "$boot" || :
  boot=
  sleep 0.2
done
