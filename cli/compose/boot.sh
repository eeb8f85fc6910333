#!/bin/sh
# One boot of a host, in a PID namespace of its own: becomes PID 1 of it. When that ends, all the host's processes end.
set -e
mount --make-private /proc
mount -t proc proc /proc
mount --bind /run/kubreak/boot_id /proc/sys/kernel/random/boot_id
cd /
# Reaps orphans (a shell does so while it waits), keeps the supervisor running, ends on SIGTERM.
exec env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh -c '
trap "exit 0" TERM INT
while :; do
  MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --use-openssl-ca /opt/kubreak/dist/node.js >>/var/log/node.log 2>&1 & pid=$!
  while kill -0 $pid 2>/dev/null; do wait $pid; done
  sleep 1 & wait $!
done' kubreak-host "$1"
