import { runService } from '#lib/service/run-service.ts';
import { enableFailPoints } from './edge/fail-points.ts';
import { flagsFromEnvironment } from './environment.ts';
import { etcdFlags } from './flags.ts';
import { startEtcd } from './service.ts';

const { flags, unknown } = flagsFromEnvironment(etcdFlags, process.argv.slice(2), process.env);
process.argv.splice(2, 0, ...flags);
void enableFailPoints(process.env).then(() => runService('etcd', etcdFlags, async (parsed, environment, signal) => {
  for (const variable of unknown) environment.log.warn({ variable }, 'unrecognized environment variable');
  await startEtcd(parsed, environment, signal);
}));
