// Flags of the host's supervisor.
import { path } from '#lib/service/flags.ts';

export const nodeFlags = {
  config: path({ help: 'The host: its name, network and services, as JSON.', default: '/etc/kubreak/node.json' }),
  socket: path({ help: 'Socket on which systemctl, modprobe and reboot are answered.', default: '/run/kubreak/node.sock' }),
};
