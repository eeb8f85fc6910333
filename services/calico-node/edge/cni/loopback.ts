// `loopback` brings up lo in a pod: the runtime calls it for every sandbox, whatever else is configured.
import { existsSync } from 'node:fs';
import { inNetns, type CniProgram } from './program.ts';

export const loopback: CniProgram = {
  async add({ netns, config }) {
    await inNetns(netns, 'ip', ['link', 'set', 'lo', 'up']);
    return config.prevResult ?? { interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: netns }], ips: [{ address: '127.0.0.1/8', interface: 0 }] };
  },
  async del({ netns }) {
    if (netns !== '' && existsSync(netns)) await inNetns(netns, 'ip', ['link', 'set', 'lo', 'down']);
  },
  async check({ netns }) {
    if (!/[<,]UP[,>]/.test(await inNetns(netns, 'ip', ['-o', 'link', 'show', 'dev', 'lo']))) throw new Error(`lo is not up in ${netns}`);
  },
};
