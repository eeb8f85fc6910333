// Flags of kube-scheduler. Source: cmd/kube-scheduler/app/options, Kubernetes 1.36.
import { address, boolean, duration, integer, path, port, text } from '#lib/service/flags.ts';

export const schedulerFlags = {
  config: path({ help: 'The path to the configuration file (KubeSchedulerConfiguration).' }),
  kubeconfig: path({ help: 'How to reach the API server; ignored with --config.' }),
  'authentication-kubeconfig': path({ help: 'Kubeconfig that may ask for TokenReviews.' }),
  'authorization-kubeconfig': path({ help: 'Kubeconfig that may ask for SubjectAccessReviews.' }),
  'bind-address': address({ help: 'Address of the HTTPS server.', default: '0.0.0.0' }),
  'secure-port': port({ help: 'Port of the HTTPS server; 0 switches it off.', default: 10259 }),
  'leader-elect': boolean({ help: 'Wait to be elected before scheduling.', default: true }),
  'leader-elect-lease-duration': duration({ help: 'Time a lease holds without renewal.', default: '15s' }),
  'leader-elect-renew-deadline': duration({ help: 'Time after which a leader that cannot renew gives up.', default: '10s' }),
  'leader-elect-retry-period': duration({ help: 'Time between tries to get or renew the lease.', default: '2s' }),
  'leader-elect-resource-lock': text({ help: 'Only leases is supported.', default: 'leases' }),
  'leader-elect-resource-name': text({ help: 'Name of the Lease.', default: 'kube-scheduler' }),
  'leader-elect-resource-namespace': text({ help: 'Namespace of the Lease.', default: 'kube-system' }),
  'pod-max-in-unschedulable-pods-duration': duration({ help: 'After this time a pod is tried again whatever happened.', default: '5m0s' }),
  'emulator-scheduler-name': text({ help: 'Pods with this schedulerName are scheduled, unless the profile of --config has a name.', default: 'default-scheduler' }),
  v: integer({ help: 'Accepted for compatibility; see LOG_LEVEL.', default: 0 }),
};
