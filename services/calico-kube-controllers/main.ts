// Housekeeping of the pod network.
import { runService } from '#lib/service/run-service.ts';
import { calicoKubeControllersFlags } from './flags.ts';
import { startCalicoKubeControllers } from './service.ts';

void runService('calico-kube-controllers', calicoKubeControllersFlags, (flags, environment, signal) => startCalicoKubeControllers(flags, process.env, environment, signal));
