// Which authority each built-in signer uses: its own files, or those for all.
import type { Flags } from '#lib/service/flags.ts';
import type { controllerManagerFlags } from '../../flags.ts';
import type { SigningFiles, SigningSettings } from './signer.ts';

export function signingFiles(flags: Flags<typeof controllerManagerFlags>): SigningSettings['files'] {
  const common = { certFile: flags.clusterSigningCertFile, keyFile: flags.clusterSigningKeyFile };
  const files = (certFile: string, keyFile: string): SigningFiles | undefined => {
    const own = certFile !== '' && keyFile !== '' ? { certFile, keyFile } : common;
    return own.certFile !== '' && own.keyFile !== '' ? own : undefined;
  };
  const all = {
    'kubernetes.io/kubelet-serving': files(flags.clusterSigningKubeletServingCertFile, flags.clusterSigningKubeletServingKeyFile),
    'kubernetes.io/kube-apiserver-client-kubelet': files(flags.clusterSigningKubeletClientCertFile, flags.clusterSigningKubeletClientKeyFile),
    'kubernetes.io/kube-apiserver-client': files(flags.clusterSigningKubeApiserverClientCertFile, flags.clusterSigningKubeApiserverClientKeyFile),
    'kubernetes.io/legacy-unknown': files(flags.clusterSigningLegacyUnknownCertFile, flags.clusterSigningLegacyUnknownKeyFile),
  };
  return Object.fromEntries(Object.entries(all).filter(([, one]) => one !== undefined)) as SigningSettings['files'];
}
