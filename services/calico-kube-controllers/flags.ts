// The controllers take their settings from the environment, as the real ones do.
import { address, path, port } from '#lib/service/flags.ts';

export const calicoKubeControllersFlags = {
  kubeconfig: path({ help: 'How to reach the API server; empty: as a pod does.' }),
  'emulator-health-address': address({ help: 'Where health checks and metrics are served.', default: '0.0.0.0' }),
  'emulator-health-port': port({ help: 'Port of health checks and metrics; that of the real one\'s metrics.', default: 9094 }),
};
