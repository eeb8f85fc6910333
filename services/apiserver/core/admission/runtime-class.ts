// RuntimeClass: a pod takes on the overhead, node selector and tolerations of its class.
// Source: plugin/pkg/admission/runtimeclass/admission.go.
import { runtimeClassKind } from '#lib/kinds/node/runtime-class.ts';
import type { Pod, Toleration } from '#lib/kinds/types/core-v1.ts';
import type { RuntimeClass } from '#lib/kinds/types/node-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import { parseQuantity } from '#lib/machinery/quantity.ts';
import type { ObjectReader } from '../object-reader.ts';
import { isKind, refusal, type AdmissionAttributes, type AdmissionPlugin } from './admission.ts';

type ResourceList = Readonly<Record<string, string>>;

function sameAmounts(left: ResourceList = {}, right: ResourceList = {}): boolean {
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => right[name] !== undefined && parseQuantity(left[name] ?? '').nanos === parseQuantity(right[name] ?? '').nanos);
}

const overheadDiffers = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";

export function applyRuntimeClass(pod: Pod, { overhead, scheduling }: Readonly<RuntimeClass>): string | undefined {
  const { spec } = pod;
  if (overhead) {
    if (spec.overhead && !sameAmounts(overhead.podFixed, spec.overhead)) return overheadDiffers;
    spec.overhead = { ...overhead.podFixed };
  }
  for (const [key, value] of Object.entries(scheduling?.nodeSelector ?? {})) {
    const own = spec.nodeSelector?.[key];
    if (own !== undefined && own !== value) return `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`;
    spec.nodeSelector = { ...spec.nodeSelector, [key]: value };
  }
  const extra = (scheduling?.tolerations ?? []).filter((one: Toleration) => !(spec.tolerations ?? []).some((own) => semanticEqual(own, one)));
  if (extra.length > 0) spec.tolerations = [...(spec.tolerations ?? []), ...structuredClone(extra)];
  return undefined;
}

export function runtimeClassAdmission(objects: ObjectReader): AdmissionPlugin {
  const isNewPod = (attributes: AdmissionAttributes): boolean => attributes.operation === 'CREATE' && attributes.subresource === '' && isKind(attributes, '', 'Pod');
  async function find(attributes: AdmissionAttributes): Promise<Readonly<RuntimeClass> | undefined> {
    const name = (attributes.object as Pod).spec?.runtimeClassName;
    if (!name) return undefined;
    const found = objects.cached(runtimeClassKind, '', name) ?? await objects.read(runtimeClassKind, '', name);
    if (!found) throw refusal(attributes, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
    return found;
  }
  return {
    name: 'RuntimeClass',
    admit: async (attributes) => {
      if (!isNewPod(attributes)) return;
      const found = await find(attributes);
      const problem = found && applyRuntimeClass(attributes.object as Pod, found);
      if (problem !== undefined) throw refusal(attributes, problem);
    },
    validate: async (attributes) => {
      if (!isNewPod(attributes)) return;
      const found = await find(attributes);
      const { overhead } = (attributes.object as Pod).spec;
      if (found?.overhead && !sameAmounts(found.overhead.podFixed, overhead)) throw refusal(attributes, overheadDiffers);
      if (overhead && !found?.overhead) throw refusal(attributes, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
    },
  };
}
