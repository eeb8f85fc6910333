// kube-apiserver: flags in, exit code out.
import { runService } from '#lib/service/run-service.ts';
import { apiserverFlags } from './flags.ts';
import { startApiserver } from './service.ts';

void runService('kube-apiserver', apiserverFlags, startApiserver);
