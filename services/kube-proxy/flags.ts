// kube-proxy's flags. With --config the file decides, but for the host's name, as upstream has it.
import { boolean, path, text } from '#lib/service/flags.ts';

export const kubeProxyFlags = {
  'config': path({ help: 'The path to the configuration file (KubeProxyConfiguration).' }),
  'hostname-override': text({ help: 'If non-empty, will be used as the name of the Node that kube-proxy is running on.', default: '' }),
  'kubeconfig': path({ help: 'Path to kubeconfig file; ignored with --config.' }),
  'cluster-cidr': text({ help: 'The CIDR range of the pods in the cluster; ignored with --config.', default: '' }),
  'proxy-mode': text({ help: 'Which proxy mode to use: nftables is the only one here; ignored with --config.', default: 'nftables' }),
  'healthz-bind-address': text({ help: 'Address and port of the health check server; ignored with --config.', default: '0.0.0.0:10256' }),
  'metrics-bind-address': text({ help: 'Address and port of the metrics server; ignored with --config.', default: '127.0.0.1:10249' }),
  'cleanup': boolean({ help: 'Delete the rules of kube-proxy and exit.', default: false }),
};
