import { runService } from '#lib/service/run-service.ts';
import { containerRuntimeFlags } from './flags.ts';
import { startContainerRuntime } from './service.ts';

await runService('containerd', containerRuntimeFlags, startContainerRuntime);
