// The pod network's agent on a node.
import { runService } from '#lib/service/run-service.ts';
import { calicoNodeFlags } from './flags.ts';
import { startCalicoNode } from './service.ts';

void runService('calico-node', calicoNodeFlags, (flags, environment, signal) => startCalicoNode(flags, process.env, environment, signal));
