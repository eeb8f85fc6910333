// Services on a node: cluster IPs and node ports, by nftables.
import { runService } from '#lib/service/run-service.ts';
import { kubeProxyFlags } from './flags.ts';
import { startKubeProxy } from './service.ts';

void runService('kube-proxy', kubeProxyFlags, (flags, environment, signal) => startKubeProxy(flags, process.env, environment, signal));
