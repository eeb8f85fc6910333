// The CNI configuration that tells the container runtime how pods of this node get their network.

export interface CniConfigInputs {
  readonly node: string;
  /** Blocks of addresses that this node may deal from, in order. */
  readonly blocks: readonly string[];
  /** 0: left to the runtime. */
  readonly mtu: number;
}

export const CNI_CONFIG_NAME = '10-calico.conflist';

/** `ipam.blocks` stands for what calico-ipam would ask the API for at every pod. */
export function cniConfigText({ node, blocks, mtu }: CniConfigInputs): string {
  return `${JSON.stringify({
    name: 'k8s-pod-network',
    cniVersion: '1.0.0',
    plugins: [
      {
        type: 'calico', log_level: 'info', log_file_path: '/var/log/calico/cni/cni.log', datastore_type: 'kubernetes', nodename: node, ...(mtu === 0 ? {} : { mtu }),
        ipam: { type: 'calico-ipam', blocks },
        policy: { type: 'k8s' },
        kubernetes: { kubeconfig: '/etc/cni/net.d/calico-kubeconfig' },
      },
      { type: 'portmap', snat: true, capabilities: { portMappings: true } },
    ],
  }, undefined, 2)}\n`;
}
