// The etcd we stand in for. kube-apiserver reads the version to decide what it may ask for.
import { storageVersionOf } from '../core/versions.ts';

export const ETCD_VERSION = '3.6.8';

/** The answer to /version. Source: etcd v3.6, server/etcdserver/api/etcdhttp/version.go. */
export const versionsJson = (clusterVersion: string): string =>
  JSON.stringify({ etcdserver: ETCD_VERSION, etcdcluster: clusterVersion || 'not_decided', storage: storageVersionOf(clusterVersion) || 'unknown' });
