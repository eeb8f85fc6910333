// The published structure of every served object: upstream's definitions and those of the kinds that are not upstream's.
// Only the API server needs it (175 KB of JSON); kinds themselves must not import it.
import upstreamPresent from './always-present.json' with { type: 'json' };
import upstreamKeys from './list-keys.json' with { type: 'json' };
import upstreamTypes from './types.json' with { type: 'json' };

/** A definition of types.json: `fields` by name in its type grammar, or `type` for an alias. */
export interface SchemaDefinition {
  readonly gvk?: readonly string[];
  readonly fields?: Readonly<Record<string, string>>;
  readonly type?: string;
}

/** How lists and maps merge; `$self` applies to the definition itself. See the legend in list-keys.json. */
export interface ListKeys {
  readonly listType?: string;
  readonly listMapKeys?: readonly string[];
  readonly mapType?: string;
  readonly patchStrategy?: string;
  readonly patchMergeKey?: string;
  readonly default?: unknown;
  readonly unions?: readonly unknown[];
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const CALICO = 'org.projectcalico.crd.v1';

function object(kind: string): Record<string, SchemaDefinition> {
  const base = { apiVersion: 'string', kind: 'string' };
  return {
    [`${CALICO}.${kind}`]: { gvk: [`crd.projectcalico.org/v1/${kind}`], fields: { ...base, metadata: `ref:${META}.ObjectMeta`, spec: `ref:${CALICO}.${kind}Spec` } },
    [`${CALICO}.${kind}List`]: { gvk: [`crd.projectcalico.org/v1/${kind}List`], fields: { ...base, items: `[]ref:${CALICO}.${kind}!`, metadata: `ref:${META}.ListMeta` } },
  };
}

/** Source: Calico's CRDs crd.projectcalico.org_{ippools,blockaffinities}.yaml. */
const calico: Readonly<Record<string, SchemaDefinition>> = {
  ...object('IPPool'),
  [`${CALICO}.IPPoolSpec`]: {
    fields: {
      allowedUses: '[]string', assignmentMode: 'string', blockSize: 'int', cidr: 'string!', disableBGPExport: 'bool', disabled: 'bool', ipipMode: 'string',
      namespaceSelector: 'string', natOutgoing: 'bool', nodeSelector: 'string', vxlanMode: 'string',
    },
  },
  ...object('BlockAffinity'),
  [`${CALICO}.BlockAffinitySpec`]: { fields: { cidr: 'string!', deleted: 'string!', node: 'string!', state: 'string!', type: 'string' } },
};

export const definitions: Readonly<Record<string, SchemaDefinition>> = { ...(upstreamTypes.definitions as unknown as Record<string, SchemaDefinition>), ...calico };

/** Adds what is only known while the server runs; returns how to take it away. Names must not have been used before. */
export function addDefinitions(more: Readonly<Record<string, SchemaDefinition>>, keys: Readonly<Record<string, Readonly<Record<string, ListKeys>>>>): () => void {
  const [all, allKeys] = [definitions as Record<string, SchemaDefinition>, listKeys as Record<string, Readonly<Record<string, ListKeys>>>];
  Object.assign(all, more);
  Object.assign(allKeys, keys);
  return () => {
    for (const name of Object.keys(more)) delete all[name];
    for (const name of Object.keys(keys)) delete allKeys[name];
  };
}

export const listKeys = upstreamKeys.definitions as unknown as Readonly<Record<string, Readonly<Record<string, ListKeys>>>>;

/** Fields that hold a struct by value: in Go they are there, if empty, whenever what holds them is. */
export const alwaysPresent = upstreamPresent.definitions as unknown as Readonly<Record<string, readonly string[] | undefined>>;
