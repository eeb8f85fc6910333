// What /etc/kubreak/node.json holds. Written by `kubreak up` or the container image; read once at boot.

export interface UnitConfig {
  /** `kubelet`, `containerd` */
  readonly name: string;
  readonly description: string;
  readonly command: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Its group, by number; where there is no such group (a user namespace with one) it stays root's. systemd's Group. */
  readonly group?: number;
  /** Wait before a service that ended by itself is started again; seconds. systemd's RestartSec. */
  readonly restartSeconds: number;
  /** At boot it is started so much later: for what others must be there before. */
  readonly bootDelaySeconds?: number;
}

export interface BalancerConfig {
  readonly listen: { readonly host: string; readonly port: number };
  readonly servers: readonly { readonly host: string; readonly port: number }[];
}

export interface HostConfig {
  readonly hostName: string;
  readonly network: {
    /** Its usual device; should another one have the address, it is that. */
    readonly device: string;
    /** With prefix length: `192.168.1.101/24`. */
    readonly address: string;
    readonly gateway: string;
    /** nft tables of whoever runs this host (`ip nat` of a container engine); a boot leaves them alone. */
    readonly foreignTables?: readonly string[];
  };
  /** Kernel modules that are loaded at boot (/etc/modules-load.d). */
  readonly modules: readonly string[];
  readonly units: readonly UnitConfig[];
  /** In front of several API servers, for the clients on this host. */
  readonly balancer?: BalancerConfig;
}
