// A registry of the built-in images, for a host where another runtime, such as the real containerd, runs in place of this one: it pulls
// from here what this runtime has built in.
import type { Environment } from '#lib/environment/environment.ts';
import { aborted } from '#lib/service/abort.ts';
import { path, port, text, type Flags } from '#lib/service/flags.ts';
import { runService } from '#lib/service/run-service.ts';
import { PublishedImages } from './edge/image-registry/images.ts';
import { LayerStore } from './edge/image-registry/layer-store.ts';
import { startRegistryServer } from './edge/image-registry/server.ts';

const imageRegistryFlags = {
  'bind-address': text({ default: '127.0.0.1', help: 'Address to serve on, by plain HTTP.' }),
  'port': port({ default: 1339, help: 'Port to serve on.' }),
  'root': path({ default: '/var/lib/kubreak/images', help: 'Folder for the layers.' }),
  'emulator-bundle-dir': path({ default: '/opt/kubreak', help: 'Folder of this project\'s own bundles; the cluster\'s images have them at /opt/kubreak.' }),
  'emulator-catalogue': path({ default: '/opt/kubreak/dist/images', help: 'Folder of the built-in images: catalogue.json and layers.' }),
};

async function startImageRegistry(flags: Flags<typeof imageRegistryFlags>, { log }: Environment, signal: AbortSignal): Promise<void> {
  const layers = new LayerStore({ root: flags.root, bundleFolder: flags.emulatorBundleDir, log });
  const images = new PublishedImages(flags.emulatorCatalogue, layers);
  const port = await startRegistryServer({ host: flags.bindAddress, port: flags.port, images, layers, log, signal });
  log.info({ address: `${flags.bindAddress}:${port}` }, 'serving');
  // Every image has these two: the first pull need not wait for them.
  await Promise.all([layers.nodePrograms(), layers.bundles()]);
  await aborted(signal);
}

void runService('image-registry', imageRegistryFlags, startImageRegistry);
