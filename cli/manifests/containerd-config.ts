// The configuration of the real containerd, for hosts that run it. Source: containerd 1.6, docs/cri/config.md and docs/hosts.md;
// 1.7 reads it as well, and 2.x takes it over into its own form.

/** kubeadm's of Kubernetes 1.36. */
const PAUSE_IMAGE = 'registry.k8s.io/pause:3.10.1';

export const CONTAINERD_CONFIG = '/etc/containerd/config.toml';

export interface ContainerdConfigOptions {
  readonly socket: string;
  readonly metricsAddress: string;
  /** host:port of the registry of built-in images on this host. */
  readonly registry: string;
  /** The OCI runtime. */
  readonly runc: string;
}

export function containerdFiles({ socket, metricsAddress, registry, runc }: ContainerdConfigOptions): { path: string; text: string }[] {
  return [
    {
      path: CONTAINERD_CONFIG,
      text: `version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
  address = "${socket}"

[metrics]
  address = "${metricsAddress}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # A host in a container may not give a process a better score than it has itself (CAP_SYS_RESOURCE).
  restrict_oom_score_adj = true
  disable_apparmor = true
  tolerate_missing_hugetlb_controller = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"

[plugins."io.containerd.grpc.v1.cri".containerd]
  # Layers are on disk once packed and once unpacked else.
  discard_unpacked_layers = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  # A host in a container has not all devices to give away.
  privileged_without_host_devices = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  BinaryName = "${runc}"

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
`,
    },
    {
      path: '/etc/containerd/certs.d/_default/hosts.toml',
      text: `# The images that are built in come from this host; all others from their own registry. A folder HOST beside this one
# decides for that registry alone.
[host."http://${registry}"]
  capabilities = ["pull", "resolve"]
`,
    },
  ];
}
