// Flags of metrics-server. Source: cmd/metrics-server/app/options, metrics-server 0.8, and those of k8s.io/apiserver it takes.
import { address, boolean, duration, integer, list, path, port, text, type Flags } from '#lib/service/flags.ts';

export const metricsServerFlags = {
  'kubeconfig': path({ help: 'How to reach the API server, and as whom to ask the kubelets.' }),
  'authentication-kubeconfig': path({ help: 'Accepted: the kubeconfig is used.' }),
  'authorization-kubeconfig': path({ help: 'Accepted: the kubeconfig is used.' }),
  'bind-address': address({ default: '0.0.0.0', help: 'Address of the HTTPS server.' }),
  'secure-port': port({ default: 443, help: 'Port of the HTTPS server.' }),
  'cert-dir': path({ default: 'apiserver.local.config/certificates', help: 'Accepted: without a certificate one is made in memory.' }),
  'tls-cert-file': path({ help: 'Certificate of the HTTPS server.' }),
  'tls-private-key-file': path({ help: 'Its key.' }),
  'metric-resolution': duration({ default: '1m0s', help: 'How often the kubelets are asked; at least 10s.' }),
  'kubelet-insecure-tls': boolean({ default: false, help: 'Do not verify the certificates that kubelets present.' }),
  'kubelet-use-node-status-port': boolean({ default: false, help: 'Take the port from the status of the node.' }),
  'kubelet-port': port({ default: 10250, help: 'Port of the kubelets.' }),
  'kubelet-preferred-address-types': list({ default: ['Hostname', 'InternalDNS', 'InternalIP', 'ExternalDNS', 'ExternalIP'], help: 'Which address of a node to use, first choice first.' }),
  'kubelet-certificate-authority': path({ help: 'Authority of the kubelets\' certificates.' }),
  'kubelet-client-certificate': path({ help: 'Certificate to show to kubelets instead of the kubeconfig\'s.' }),
  'kubelet-client-key': path({ help: 'Its key.' }),
  'kubelet-request-timeout': duration({ default: '10s', help: 'Longest wait for a kubelet.' }),
  'node-selector': text({ default: '', help: 'Only nodes with these labels are asked and shown.' }),
  'v': integer({ default: 0, help: 'Log verbosity; from 4 on, debug lines are written.' }),
};

export type MetricsServerFlags = Flags<typeof metricsServerFlags>;
