// Priority: a pod's class becomes its number. Source: plugin/pkg/admission/priority/admission.go.
import { priorityClassKind } from '#lib/kinds/scheduling/priority-class.ts';
import type { Pod } from '#lib/kinds/types/core-v1.ts';
import type { PriorityClass } from '#lib/kinds/types/scheduling-v1.ts';
import { forbidden } from '#lib/machinery/status-error.ts';
import type { ObjectReader } from '../object-reader.ts';
import type { AdmissionPlugin } from './admission.ts';

const DEFAULT_POLICY = 'PreemptLowerPriority';

export function priority(objects: ObjectReader): AdmissionPlugin {
  /** Of several global defaults the lowest counts. */
  const globalDefault = (): Readonly<PriorityClass> | undefined =>
    objects.listCached(priorityClassKind).filter((one) => one.globalDefault).sort((a, b) => (a.value ?? 0) - (b.value ?? 0))[0];

  return {
    name: 'Priority',
    admit: async ({ operation, kind, subresource, object, previous }) => {
      if (kind.kind !== 'Pod' || kind.group !== '' || subresource !== '') return;
      const pod = object as Pod;
      const { spec } = pod;
      if (!spec) return;
      if (operation === 'UPDATE') {
        const old = (previous as Pod).spec;
        if (spec.priority === undefined && old?.priority !== undefined) spec.priority = old.priority;
        if (spec.preemptionPolicy === undefined && old?.preemptionPolicy !== undefined) spec.preemptionPolicy = old.preemptionPolicy;
        return;
      }
      const refuse = (text: string): Error => forbidden(kind, pod.metadata.name ?? '', text);
      let found: Readonly<PriorityClass> | undefined;
      if (spec.priorityClassName) {
        found = objects.cached(priorityClassKind, '', spec.priorityClassName) ?? await objects.read(priorityClassKind, '', spec.priorityClassName);
        if (!found) throw refuse(`no PriorityClass with name ${spec.priorityClassName} was found`);
      } else {
        found = globalDefault();
        if (found) spec.priorityClassName = found.metadata.name;
      }
      const value = found?.value ?? 0;
      const policy = found?.preemptionPolicy ?? DEFAULT_POLICY;
      if (spec.priority !== undefined && spec.priority !== value) {
        throw refuse(`the integer value of priority (${spec.priority}) must not be provided in pod spec; priority admission controller computed ${value} from the given PriorityClass name`);
      }
      if (spec.preemptionPolicy !== undefined && spec.preemptionPolicy !== policy) {
        throw refuse(`the string value of PreemptionPolicy (${spec.preemptionPolicy}) must not be provided in pod spec; priority admission controller computed ${policy} from the given PriorityClass name`);
      }
      spec.priority = value;
      spec.preemptionPolicy = policy;
    },
    validate: ({ operation, kind, object }) => {
      if (operation === 'DELETE' || kind.kind !== 'PriorityClass') return;
      const priorityClass = object as PriorityClass;
      const known = priorityClass.globalDefault ? globalDefault() : undefined;
      if (known && known.metadata.name !== priorityClass.metadata.name) {
        throw forbidden(kind, priorityClass.metadata.name, `PriorityClass ${known.metadata.name} is already marked as default. Only one default can exist`);
      }
    },
  };
}
