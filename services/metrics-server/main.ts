// metrics-server.
import { runService } from '#lib/service/run-service.ts';
import { metricsServerFlags } from './flags.ts';
import { startMetricsServer } from './service.ts';

void runService('metrics-server', metricsServerFlags, startMetricsServer);
