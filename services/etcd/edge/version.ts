// The etcd we stand in for. kube-apiserver reads the version to decide what it may ask for.
export const ETCD_VERSION = '3.6.8';
export const CLUSTER_VERSION = '3.6.0';
export const STORAGE_VERSION = '3.6.0';
