// kube-scheduler.
import { runService } from '#lib/service/run-service.ts';
import { schedulerFlags } from './flags.ts';
import { startScheduler } from './service.ts';

void runService('kube-scheduler', schedulerFlags, startScheduler);
