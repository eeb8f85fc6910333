import { runService } from '#lib/service/run-service.ts';
import { flagsFromEnvironment } from './environment.ts';
import { etcdFlags } from './flags.ts';
import { startEtcd } from './service.ts';

const { flags, unknown } = flagsFromEnvironment(etcdFlags, process.argv.slice(2), process.env);
process.argv.splice(2, 0, ...flags);
void runService('etcd', etcdFlags, async (parsed, environment, signal) => {
  for (const variable of unknown) environment.log.warn({ variable }, 'unrecognized environment variable');
  await startEtcd(parsed, environment, signal);
});
