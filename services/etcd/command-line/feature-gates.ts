// --feature-gates, and the flags that stood for features before 3.6. Source: etcd v3.6, server/features/etcd_features.go and pkg/featuregate.
import { FlagError, parseBoolean } from '#lib/service/flags.ts';
import type { EtcdFlags } from './flags.ts';

/** Whether each is on by default. Those that are not read below have no effect here: what they turn on is always so, or there is no need of it. */
const DEFAULTS = {
  CompactHashCheck: false, InitialCorruptCheck: false, LeaseCheckpoint: false, LeaseCheckpointPersist: false, SetMemberLocalAddr: false, StopGRPCServiceOnDefrag: false,
  TxnModeWriteWithSharedBuffer: true,
} as const;
type Feature = keyof typeof DEFAULTS;
const isFeature = (name: string): name is Feature => name in DEFAULTS;
const GROUPS: Readonly<Record<string, readonly Feature[]>> = {
  AllAlpha: ['CompactHashCheck', 'InitialCorruptCheck', 'LeaseCheckpoint', 'LeaseCheckpointPersist', 'SetMemberLocalAddr', 'StopGRPCServiceOnDefrag'], AllBeta: ['TxnModeWriteWithSharedBuffer'],
};

/** Source: etcd v3.6, features.ExperimentalFlagToFeatureMap. */
const OLD_FLAGS = {
  experimentalStopGrpcServiceOnDefrag: ['experimental-stop-grpc-service-on-defrag', 'StopGRPCServiceOnDefrag'],
  experimentalInitialCorruptCheck: ['experimental-initial-corrupt-check', 'InitialCorruptCheck'],
  experimentalCompactHashCheckEnabled: ['experimental-compact-hash-check-enabled', 'CompactHashCheck'],
  experimentalTxnModeWriteWithSharedBuffer: ['experimental-txn-mode-write-with-shared-buffer', 'TxnModeWriteWithSharedBuffer'],
  experimentalEnableLeaseCheckpoint: ['experimental-enable-lease-checkpoint', 'LeaseCheckpoint'],
  experimentalEnableLeaseCheckpointPersist: ['experimental-enable-lease-checkpoint-persist', 'LeaseCheckpointPersist'],
} as const satisfies Readonly<Record<string, readonly [string, Feature]>>;
type OldFlag = keyof typeof OLD_FLAGS;

/** For the metrics. */
export const stagesOf = (features: Readonly<Record<Feature, boolean>>): Readonly<Record<string, { readonly isEnabled: boolean; readonly stage: string }>> =>
  Object.fromEntries(Object.entries(features).map(([name, isEnabled]) => [name, { isEnabled, stage: GROUPS['AllBeta']?.includes(name as Feature) ? 'BETA' : 'ALPHA' }]));

/** Throws FlagError. */
export function featuresOf({ featureGates, ...old }: Pick<EtcdFlags, 'featureGates' | OldFlag>): Readonly<Record<Feature, boolean>> {
  const features: Record<Feature, boolean> = { ...DEFAULTS };
  const given = new Map<string, boolean>();
  for (const pair of featureGates.split(',').map((text) => text.trim()).filter((text) => text !== '')) {
    const at = pair.indexOf('=');
    const name = (at < 0 ? pair : pair.slice(0, at)).trim();
    if (at < 0) throw new FlagError(`missing bool value for ${name}`);
    const text = pair.slice(at + 1).trim();
    const value = parseBoolean(text);
    if (value === undefined) throw new FlagError(`invalid value of ${name}=${text}, err: strconv.ParseBool: parsing "${text}": invalid syntax`);
    if (!isFeature(name) && GROUPS[name] === undefined) throw new FlagError(`unrecognized feature gate: ${name}`);
    given.set(name, value);
  }
  // What is named by itself goes before its group.
  for (const [group, names] of Object.entries(GROUPS)) for (const name of names) features[name] = given.get(name) ?? given.get(group) ?? features[name];
  const fromFlag = (flag: string, text: string, name: Feature): void => {
    if (text === '') return;
    const value = parseBoolean(text);
    if (value === undefined) throw new FlagError(`invalid argument "${text}" for "--${flag}" flag: must be true or false`);
    if (featureGates.includes(name)) {
      const gate = `--feature-gates=${name}=${features[name]}`;
      throw new FlagError(`cannot specify both flags: --${flag}=${value} and ${gate} at the same time, please just use ${gate}`);
    }
    features[name] = value;
  };
  for (const [property, [flag, name]] of Object.entries(OLD_FLAGS)) fromFlag(flag, old[property as OldFlag], name);
  if (features.LeaseCheckpointPersist && !features.LeaseCheckpoint) throw new FlagError('enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint');
  return features;
}
