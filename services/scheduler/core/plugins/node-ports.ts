// Host ports can be taken once a node.
import { unschedulable, type Plugin } from '../framework.ts';
import { hostPortsOf, type HostPort } from '../node-info.ts';

function conflicts(wanted: HostPort, taken: HostPort): boolean {
  return wanted.port === taken.port && wanted.protocol === taken.protocol && (wanted.ip === taken.ip || wanted.ip === '0.0.0.0' || taken.ip === '0.0.0.0');
}

export const nodePorts: Plugin = {
  name: 'NodePorts',
  retryOn: ['AssignedPod/Delete', 'Node/Add'],
  prepareFilter: (pod) => {
    const wanted = hostPortsOf(pod);
    return {
      filter: ({ pods }) => (wanted.length > 0 && pods.some((other) => hostPortsOf(other).some((taken) => wanted.some((port) => conflicts(port, taken))))
        ? unschedulable('NodePorts', "node(s) didn't have free ports for the requested pod ports") : undefined),
    };
  },
};
