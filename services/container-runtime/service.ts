// Wires the runtime: what it knows, what it can do on this host, and the two servers that offer it.
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { Gauge, type Registry } from 'prom-client';
import { nanosecondsOfMs } from '#lib/cri/codec.ts';
import type { Environment } from '#lib/environment/environment.ts';
import { aborted } from '#lib/service/abort.ts';
import { newMetrics, startHealthServer } from '#lib/service/health-server.ts';
import { readUserNamespace } from '#lib/service/user-namespace.ts';
import { prepareBaseLayer } from './edge/base-layer.ts';
import { Cgroups } from './edge/cgroups.ts';
import { serveCri } from './edge/cri-server.ts';
import { Execs } from './edge/exec.ts';
import { ImageStore } from './edge/images.ts';
import { PodNetwork } from './edge/network.ts';
import { ownCopy } from './edge/own-copy.ts';
import { Runtime } from './edge/runtime.ts';
import { Stats } from './edge/stats.ts';
import { startStreamingServer } from './edge/streaming/server.ts';
import type { ContainerRuntimeFlags } from './flags.ts';

export async function startContainerRuntime(flags: ContainerRuntimeFlags, { clock, log }: Environment, signal: AbortSignal): Promise<void> {
  const now = (): bigint => nanosecondsOfMs(clock.nowMs());
  const cgroups = new Cgroups({ parent: flags.cgroupParent, log });
  const network = new PodNetwork({ confFolder: flags.cniConfDir, root: flags.root, log });
  const users = readUserNamespace();
  const base = await prepareBaseLayer(flags.root, users);
  const catalogue = users.isNested ? ownCopy(flags.emulatorCatalogue, join(flags.root, 'catalogue')) : flags.emulatorCatalogue;
  const images = new ImageStore({ root: join(flags.root, 'images'), dataFolder: flags.root, catalogue, registries: flags.emulatorRegistryConfig, users, log });
  const runtime = new Runtime({ root: flags.root, state: flags.state, bundleFolder: flags.emulatorBundleDir, images, network, cgroups, base, users, clock, log });
  const execs = new Execs({ runtime, stateFolder: flags.state });
  const stats = new Stats({ runtime, cgroups, now, log });
  await runtime.recover();
  await images.sweep(runtime.usedImages());
  const streaming = await startStreamingServer({ host: flags.streamServerAddress, runtime, execs, log });
  const server = await serveCri(flags.address, { runtime, images, network, cgroups, execs, stats, streaming, now, log });
  if (flags.metricsAddress !== '') {
    const [host = '', port = ''] = flags.metricsAddress.split(/:(?=\d+$)/);
    const metrics = containerMetrics(runtime);
    // Where containerd has them.
    const routes = { '/v1/metrics': async (_: unknown, response: ServerResponse): Promise<void> => void response.writeHead(200, { 'content-type': metrics.contentType }).end(await metrics.metrics()) };
    await startHealthServer({ host, port: Number(port), metrics, routes, signal });
  }
  log.info({ address: flags.address, streaming: streaming.address, cgroups: cgroups.controllers, cgroupVersion: cgroups.version }, 'serving');
  await aborted(signal);
  await server.close();
  await streaming.close();
  runtime.close();
}

/** What this runtime holds, beside what every process tells of itself. */
function containerMetrics(runtime: Runtime): Registry {
  const registry = newMetrics();
  const gauge = (name: string, help: string, count: () => number): void => {
    new Gauge({ name, help, registers: [registry], collect() { this.set(count()); } });
  };
  gauge('containerd_cri_sandboxes', 'Number of pod sandboxes, of any state.', () => runtime.sandboxes.size);
  gauge('containerd_cri_containers', 'Number of containers, of any state.', () => runtime.containers.size);
  return registry;
}
