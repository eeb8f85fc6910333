// pause COMPONENT[@HOST]: the process hangs; connections to it stay open.
import type { ClusterAccess } from '../access/cluster-access.ts';
import { UserError } from '../user-error.ts';
import type { FaultKind } from './fault.ts';
import { parseSelector } from '../selector.ts';

interface PausePlan {
  readonly selector: string;
}

export const pauseFault: FaultKind<PausePlan> = {
  name: 'pause',
  description: 'freeze the process (SIGSTOP): it hangs, connections to it stay open; COMPONENT or COMPONENT@HOST',
  arguments: '<component>',
  async plan(cluster, { args }) {
    const [selector, ...more] = args;
    if (selector === undefined || more.length > 0) throw new UserError('pause takes COMPONENT or COMPONENT@HOST', 2);
    parseSelector(cluster, selector);
    return { selector };
  },
  async apply(cluster, { selector }) {
    const touched = await cluster.signal(selector, 'SIGSTOP');
    return touched.map(({ component, host, pid }) => `${component}@${host}${pid === undefined ? '' : ` (pid ${pid})`}`).join(', ');
  },
  async undo(cluster, { selector }) {
    await cluster.signal(selector, 'SIGCONT').catch((error: unknown) => {
      if (!(error instanceof UserError)) throw error; // it runs no more
    });
  },
  isInForce: async (cluster, { selector }) => (await paused(cluster)).some((each) => each === selector || each.startsWith(`${selector}@`)),
};

const paused = async (cluster: ClusterAccess): Promise<string[]> =>
  (await cluster.status()).filter(({ health }) => health === 'paused').map(({ component, host }) => `${component}@${host}`);
