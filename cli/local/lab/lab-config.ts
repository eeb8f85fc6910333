// What the lab process is told: the hosts it runs, their disks and where the programs are.

export interface LabHost {
  readonly name: string;
  readonly address: string;
  /** Holds upper/, work/, root/ and data/ of the host; rootless also usr-upper/ and usr-work/. */
  readonly folder: string;
}

/** Connections of hosts to `address`:`port` go to the unix socket of the supervisor, who makes them on the machine. */
export interface EtcdRelay {
  readonly address: string;
  readonly port: number;
  readonly socket: string;
}

export interface LabConfig {
  readonly hosts: readonly LabHost[];
  readonly gateway: string;
  readonly prefixLength: number;
  /** Inside. */
  readonly apiServers: readonly { readonly host: string; readonly port: number }[];
  /** Of an etcd outside the cluster. */
  readonly etcd: readonly EtcdRelay[];
  /** Folders of a host with a disk of their own. */
  readonly dataFolders: readonly string[];
  /** On the machine: the bundles, the native packages, the node executable. */
  readonly dist: string;
  readonly nodeModules: string;
  readonly nodeExecutable: string;
  /** In a user namespace: the folder with root/ and usr/, over which the hosts' roots are made. */
  readonly rootlessBase?: string;
  /** Parent of all cgroups of the cluster, without leading slash. */
  readonly cgroup: string;
}

/** Sockets of the lab, in its own mount namespace: reach them through /proc/PID/root. */
export const RELAY_SOCKET = '/run/kubreak/relay.sock';
export const LAB_SOCKET = '/run/kubreak/lab.sock';
/** argv[0] of the shell that is PID 1 of a host: how a host is found from the machine. */
export const HOST_INIT_NAME = 'kubreak-host';
