// The supervisor of one host; PID 1 is a small shell that reaps orphans and keeps this program running.
import { runService } from '#lib/service/run-service.ts';
import { nodeFlags } from './flags.ts';
import { startNode } from './service.ts';

void runService('node-init', nodeFlags, startNode);
