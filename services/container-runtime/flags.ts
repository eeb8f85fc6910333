// The flags of the runtime: containerd's own, and with --emulator- what only this runtime has.
import { path, text, type Flags } from '#lib/service/flags.ts';

export const containerRuntimeFlags = {
  'address': path({ default: '/run/containerd/containerd.sock', help: 'Unix socket on which CRI is served.' }),
  'root': path({ default: '/var/lib/containerd', help: 'Folder for what survives a reboot: records, writable layers, images. Not on an overlay.' }),
  'state': path({ default: '/run/containerd', help: 'Folder for what does not: FIFOs, exit codes, namespaces. Empty after a boot.' }),
  'cgroup-parent': text({ default: '', help: 'Cgroup below which all containers of this host are put; the cgroup_parent of a pod is relative to it.' }),
  'cni-conf-dir': path({ default: '/etc/cni/net.d', help: 'Folder in which the network configuration appears.' }),
  'stream-server-address': text({ default: '127.0.0.1', help: 'Address of the streaming server for exec, attach and port-forward.' }),
  'metrics-address': text({ default: '', help: 'host:port for /healthz /livez /readyz and /metrics over HTTP; containerd\'s [metrics] address. Empty: none.' }),
  'emulator-bundle-dir': path({ default: '/opt/kubreak', help: 'Folder of this project\'s own bundles; the cluster\'s images see it at /opt/kubreak.' }),
  'emulator-registry-config': path({ default: '/etc/containerd/certs.d', help: 'Folder of HOST/hosts.toml files: mirrors, certificates, plain HTTP; the config_path of containerd\'s registry settings.' }),
  'emulator-catalogue': path({ default: '/opt/kubreak/dist/images', help: 'Folder of the built-in images: catalogue.json and layers.' }),
};

export type ContainerRuntimeFlags = Flags<typeof containerRuntimeFlags>;
