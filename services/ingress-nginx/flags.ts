// Flags of the controller. Source: pkg/flags/flags.go of ingress-nginx 1.14.
import { boolean, duration, path, port, text } from '#lib/service/flags.ts';

export const ingressNginxFlags = {
  'kubeconfig': path({ help: 'How to reach the API server; empty: as a pod does.' }),
  'ingress-class': text({ default: 'nginx', help: 'Value of the annotation kubernetes.io/ingress.class that means this controller.' }),
  'controller-class': text({ default: 'k8s.io/ingress-nginx', help: 'Value of spec.controller of the IngressClasses that this controller serves.' }),
  'watch-ingress-without-class': boolean({ default: false, help: 'Serve Ingresses that name no class.' }),
  'election-id': text({ default: 'ingress-nginx-leader', help: 'Name of the lease of the instance that writes the status of Ingresses.' }),
  'publish-service': text({ default: '', help: 'namespace/name of the Service in front; its address goes into the status of Ingresses.' }),
  'update-status': boolean({ default: true, help: 'Write the status of Ingresses.' }),
  'default-ssl-certificate': text({ default: '', help: 'namespace/name of the Secret whose certificate is shown where a host has none.' }),
  'http-port': port({ default: 80, help: 'Port for HTTP.' }),
  'https-port': port({ default: 443, help: 'Port for HTTPS.' }),
  'healthz-port': port({ default: 10254, help: 'Port of health checks and metrics.' }),
  'sync-interval': duration({ default: '100ms', help: 'Least time between two reloads of nginx.' }),
  'emulator-nginx': path({ default: '/usr/sbin/nginx', help: 'The nginx to run.' }),
  'emulator-folder': path({ default: '/tmp/ingress-nginx', help: 'Where configuration and certificates are written.' }),
};
