import { runService } from '#lib/service/run-service.ts';
import { enableFailPoints } from './edge/fail-points.ts';
import { etcdFlags } from './flags.ts';
import { startEtcd } from './service.ts';

void enableFailPoints(process.env).then(() => runService('etcd', etcdFlags, startEtcd));
