// The kubelet's flags: those that kubeadm's kubelet gets, the rest is in the configuration file; with --emulator- our own.
import { boolean, integer, list, map, path, text, type Flags } from '#lib/service/flags.ts';

export const kubeletFlags = {
  'config': path({ help: 'The kubelet\'s configuration (KubeletConfiguration, kubelet.config.k8s.io/v1beta1). Its values hold but for what flags say.' }),
  'kubeconfig': path({ help: 'How to reach the API server. Without it the kubelet runs static pods only.' }),
  'container-runtime-endpoint': text({ default: '', help: 'Where the container runtime serves CRI: unix:///run/containerd/containerd.sock.' }),
  'hostname-override': text({ default: '', help: 'Name of this node, instead of the host\'s.' }),
  'node-ip': text({ default: '', help: 'Address of the node, or a comma-separated pair.' }),
  'node-labels': map({ default: {}, help: 'Labels set when the node registers itself.' }),
  'register-node': boolean({ default: true, help: 'Register the node with the API server.' }),
  'register-with-taints': list({ default: [], help: 'Taints of the node when it registers: key=value:effect.' }),
  'root-dir': path({ default: '/var/lib/kubelet', help: 'Folder for pods, volumes and certificates.' }),
  'cert-dir': path({ default: '/var/lib/kubelet/pki', help: 'Folder of the serving certificate when the configuration names none.' }),
  'cgroup-root': text({ default: '', help: 'Cgroup below which pods are put.' }),
  'max-pods': integer({ default: 0, min: 0, help: 'Number of pods that can run here; 0: as configured.' }),
  'pod-infra-container-image': text({ default: '', help: 'Accepted and not used: the runtime has its own.' }),
  'bootstrap-kubeconfig': path({ help: 'Accepted and not used: certificates are made beforehand.' }),
  'v': integer({ default: 0, help: 'Log verbosity; from 4 on, debug lines are written.' }),
  'emulator-capacity-cpu': text({ default: '', help: 'CPU capacity to report instead of the machine\'s, such as 4.' }),
  'emulator-capacity-memory': text({ default: '', help: 'Memory capacity to report instead of the machine\'s, such as 8Gi.' }),
};

export type KubeletFlags = Flags<typeof kubeletFlags>;
