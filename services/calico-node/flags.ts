// calico-node takes its settings from the environment, as the real one does; the flags only say which part is to run.
import { boolean, path } from '#lib/service/flags.ts';

export const calicoNodeFlags = {
  felix: boolean({ help: 'Run the agent (the only part there is; on when nothing else is asked for).', default: true }),
  kubeconfig: path({ help: 'How to reach the API server; empty: as a pod does.' }),
};
