import { runService } from '#lib/service/run-service.ts';
import { containerRuntimeFlags } from './flags.ts';
import { startContainerRuntime } from './service.ts';

void runService('containerd', containerRuntimeFlags, startContainerRuntime);
