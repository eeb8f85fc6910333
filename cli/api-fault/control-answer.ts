// What the program on a master tells about its API server.

/** On each master of a cluster whose API servers take rules. */
export const API_FAULT_KUBECONFIG = '/etc/kubernetes/api-fault.conf';

export type ControlAnswer =
  | { readonly outcome: 'answer'; readonly code: number; readonly body: string }
  /** There is no credential: nobody has asked for rules. */
  | { readonly outcome: 'disabled' }
  /** No process listens: rules that it had are gone. */
  | { readonly outcome: 'down' }
  | { readonly outcome: 'silent'; readonly problem: string };
