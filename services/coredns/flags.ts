// CoreDNS's flags; one dash will do, as with the real one.
import { boolean, path, port, text } from '#lib/service/flags.ts';

export const coreDnsFlags = {
  'conf': path({ help: 'Corefile to load.', default: 'Corefile' }),
  'dns.port': port({ help: 'Default port.', default: 53 }),
  'kubeconfig': path({ help: 'How to reach the API server; empty: as a pod does.' }),
  'emulator-bind-address': text({ help: 'Address that DNS, health checks and metrics are served on.', default: '0.0.0.0' }),
  'quiet': boolean({ help: 'Quiet mode (no initialization output).', default: false }),
};
