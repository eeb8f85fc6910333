// The Ingress controller: an nginx that serves what Ingresses say.
import { runService } from '#lib/service/run-service.ts';
import { ingressNginxFlags } from './flags.ts';
import { startIngressNginx } from './service.ts';

void runService('ingress-nginx', ingressNginxFlags, (flags, environment, signal) => startIngressNginx(flags, { variables: process.env, output: process.stdout }, environment, signal));
