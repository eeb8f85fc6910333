// What stands between an authorized write and the registry: plugins that complete an object or refuse it.
// Source: apiserver pkg/admission.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
import { forbidden, type StatusError } from '#lib/machinery/status-error.ts';
import type { User } from '../access.ts';

export type AdmissionOperation = 'CREATE' | 'UPDATE' | 'DELETE';

export interface AdmissionAttributes {
  readonly operation: AdmissionOperation;
  readonly kind: AnyKind;
  /** Empty for the main resource. */
  readonly subresource: string;
  readonly namespace: string;
  /** Empty when the server is to generate it. */
  readonly name: string;
  /** What is to be written; plugins may change it in `admit`. Absent for DELETE. */
  readonly object?: KubernetesObject;
  /** What is stored: for UPDATE and DELETE. Never changed. */
  readonly previous?: KubernetesObject;
  readonly user: User;
  /** Nothing will be written; plugins must not either. */
  readonly dryRun?: boolean;
  /** Takes a text for a `Warning` header of the answer. */
  readonly warn?: (text: string) => void;
}

/** Source: apiserver pkg/admission/errors.go: a name that is still to be generated shows as its prefix. */
export function refusal({ kind, name, object }: AdmissionAttributes, text: string): StatusError {
  return forbidden(kind, name || object?.metadata.name || object?.metadata.generateName || 'Unknown', text);
}

/** Several failures of one check, as apimachinery's aggregate shows them: each text once. */
export function aggregateText(texts: readonly string[]): string {
  const unique = [...new Set(texts)];
  return unique.length === 1 ? unique[0] ?? '' : `[${unique.join(', ')}]`;
}

export const isKind = ({ kind }: AdmissionAttributes, group: string, name: string): boolean => kind.group === group && kind.kind === name;

export interface AdmissionPlugin {
  readonly name: string;
  /** Completes the object. Refuses by throwing a StatusError. */
  readonly admit?: (attributes: AdmissionAttributes) => void | Promise<void>;
  /** Looks at the finished object. Refuses by throwing a StatusError. */
  readonly validate?: (attributes: AdmissionAttributes) => void | Promise<void>;
}

export interface Admission {
  admit(attributes: AdmissionAttributes): Promise<void>;
  validate(attributes: AdmissionAttributes): Promise<void>;
}

/** In the order given. */
export function chainAdmission(plugins: readonly AdmissionPlugin[]): Admission {
  return {
    async admit(attributes) {
      for (const plugin of plugins) await plugin.admit?.(attributes);
    },
    async validate(attributes) {
      for (const plugin of plugins) await plugin.validate?.(attributes);
    },
  };
}
