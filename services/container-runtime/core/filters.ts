// The filters of CRI's lists.
import type { ContainerFilter, ContainerState, PodSandboxFilter, PodSandboxState } from '#lib/cri/messages.ts';

const hasLabels = (labels: Readonly<Record<string, string>>, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([key, value]) => labels[key] === value);

export interface Listed<State> {
  readonly id: string;
  readonly state: State;
  readonly labels: Readonly<Record<string, string>>;
}

export function sandboxMatches(filter: PodSandboxFilter | undefined, { id, state, labels }: Listed<PodSandboxState>): boolean {
  if (!filter) return true;
  return id.startsWith(filter.id) && (!filter.state || filter.state.state === state) && hasLabels(labels, filter.labelSelector);
}

export function containerMatches(filter: ContainerFilter | undefined, { id, state, labels, sandboxId }: Listed<ContainerState> & { readonly sandboxId: string }): boolean {
  if (!filter) return true;
  return id.startsWith(filter.id) && sandboxId.startsWith(filter.podSandboxId) && (!filter.state || filter.state.state === state) && hasLabels(labels, filter.labelSelector);
}
