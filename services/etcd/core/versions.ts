// The version that the cluster speaks: that of its oldest member, or one below on the way to a downgrade. Versions are `major.minor.patch`.
// Source: etcd v3.6, server/etcdserver/version and cluster_util.go.
import type { EtcdErrorReason } from '#lib/etcd-api/errors.ts';
import type { DowngradeInfo } from './cluster-members.ts';

/** What a cluster speaks until all its members have told their versions. Source: etcd, version.MinClusterVersion. */
export const MIN_CLUSTER_VERSION = '3.0.0';

/** By major and minor version. */
export function compareVersions(a: string, b: string): number {
  const [first, second] = [numbersOf(a), numbersOf(b)];
  return first.major - second.major || first.minor - second.minor;
}

function numbersOf(version: string): { readonly major: number; readonly minor: number } {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return { major, minor };
}

/** Without what tells patches apart. */
export function clusterVersionOf(version: string): string {
  const { major, minor } = numbersOf(version);
  return `${major}.${minor}.0`;
}

/** `3.5`, or as it is when it is shorter: the way it is shown to people. */
export const shortVersion = (version: string): string => version.split('.').slice(0, 2).join('.');

/** `3.5` or `3.5.1` as people give it; undefined when it is no version. */
export function parseTargetVersion(text: string): string | undefined {
  const [, version] = /^(\d+\.\d+)(?:\.\d+(?:-[0-9A-Za-z.-]+)?(?:\+[0-9A-Za-z.-]+)?)?$/.exec(text) ?? [];
  return version === undefined ? undefined : clusterVersionOf(version);
}

function isOneBelow(version: string, target: string): boolean {
  const { major, minor } = numbersOf(version);
  return target === `${major}.${minor - 1}.0`;
}

/** Why a downgrade cannot begin. */
export function objectionToDowngrade(target: string, clusterVersion: string, downgrade: DowngradeInfo): EtcdErrorReason | undefined {
  if (clusterVersion === '') return 'ClusterVersionUnavailable';
  if (!isOneBelow(clusterVersion, target)) return 'InvalidDowngradeTargetVersion';
  return downgrade.enabled ? 'DowngradeInProcess' : undefined;
}

export interface VersionState {
  /** Empty: none is decided. */
  readonly clusterVersion: string;
  /** Of all members; undefined for one that did not tell. */
  readonly serverVersions: readonly (string | undefined)[];
  readonly downgrade: DowngradeInfo;
}

export type VersionDecision = { readonly version: string } | { readonly refused: string } | undefined;

/** What the leader sets the cluster version to; undefined: it stays. It goes down only where a downgrade says so. */
export function decideClusterVersion({ clusterVersion, serverVersions, downgrade }: VersionState): VersionDecision {
  const lowest = lowestOf(serverVersions);
  if (clusterVersion === '') return { version: lowest ?? MIN_CLUSTER_VERSION };
  if (lowest === undefined) return undefined;
  if (!downgrade.enabled) return compareVersions(clusterVersion, lowest) < 0 && numbersOf(clusterVersion).major === numbersOf(lowest).major ? { version: lowest } : undefined;
  const target = downgrade.targetVersion;
  if (target === clusterVersion) return undefined;
  return isOneBelow(clusterVersion, target) && isOneBelow(lowest, target) ? { version: target } : { refused: 'invalid downgrade target' };
}

function lowestOf(versions: readonly (string | undefined)[]): string | undefined {
  let lowest: string | undefined;
  for (const version of versions) {
    if (version === undefined) return undefined;
    if (lowest === undefined || compareVersions(version, lowest) < 0) lowest = clusterVersionOf(version);
  }
  return lowest;
}

/** Every member runs the version that the cluster was to be downgraded to. */
export const isDowngraded = (serverVersions: readonly (string | undefined)[], target: string): boolean =>
  serverVersions.every((version) => version !== undefined && compareVersions(version, target) === 0);

/** The version that the data are written for: it follows the cluster's at once, as ours look the same in all of them. Empty: not known yet. */
export const storageVersionOf = (clusterVersion: string): string => (clusterVersion === MIN_CLUSTER_VERSION ? '' : clusterVersion);

/** A member of this version must not take part in a cluster of that one. */
export const isTooOldFor = (serverVersion: string, clusterVersion: string): boolean => clusterVersion !== '' && compareVersions(serverVersion, clusterVersion) < 0;

/** Whether a member may join: while a downgrade is under way, one of the version that it leads to may. */
export function mayJoin(serverVersion: string, clusterVersions: readonly string[], isDowngrading: boolean): boolean {
  const { major, minor } = numbersOf(serverVersion);
  const highest = `${major}.${minor + (isDowngrading ? 1 : 0)}.0`;
  const lowest = isDowngrading ? highest : MIN_CLUSTER_VERSION;
  return clusterVersions.every((version) => compareVersions(version, lowest) >= 0 && compareVersions(version, highest) <= 0);
}
