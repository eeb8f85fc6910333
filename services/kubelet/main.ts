// The kubelet process.
import { runService } from '#lib/service/run-service.ts';
import { kubeletFlags } from './flags.ts';
import { startKubelet } from './service.ts';

void runService('kubelet', kubeletFlags, startKubelet);
