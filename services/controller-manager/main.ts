// kube-controller-manager: makes the cluster's state what its objects ask for.
import { runService } from '#lib/service/run-service.ts';
import { controllerManagerFlags } from './flags.ts';
import { startControllerManager } from './service.ts';

void runService('kube-controller-manager', controllerManagerFlags, startControllerManager);
