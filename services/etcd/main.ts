import { runService } from '#lib/service/run-service.ts';
import { etcdFlags } from './flags.ts';
import { startEtcd } from './service.ts';

void runService('etcd', etcdFlags, startEtcd);
