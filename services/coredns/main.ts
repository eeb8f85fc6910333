// Names of Services and pods, and of everything else by asking on.
import { runService } from '#lib/service/run-service.ts';
import { coreDnsFlags } from './flags.ts';
import { startCoreDns } from './service.ts';

void runService('coredns', coreDnsFlags, (flags, environment, signal) => startCoreDns(flags, process.env, environment, signal));
