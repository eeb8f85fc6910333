// What stands between an authorized write and the registry: plugins that complete an object or refuse it.
// Source: apiserver pkg/admission.
import type { AnyKind, KubernetesObject } from '#lib/kinds/define-kind.ts';
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
}

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
