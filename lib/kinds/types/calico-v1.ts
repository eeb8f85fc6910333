// Calico's kinds, which its real CRDs define. Source: Calico crd.projectcalico.org_{ippools,blockaffinities}.yaml.
import type { ObjectMeta } from './meta-v1.ts';

export interface IPPool {
  apiVersion?: string | undefined;
  kind?: string | undefined;
  metadata: ObjectMeta;
  spec?: IPPoolSpec | undefined;
}

export interface IPPoolSpec {
  allowedUses?: string[] | undefined;
  assignmentMode?: string | undefined;
  /** Prefix length of a node's blocks; 26 when absent. */
  blockSize?: number | undefined;
  cidr: string;
  disableBGPExport?: boolean | undefined;
  disabled?: boolean | undefined;
  ipipMode?: string | undefined;
  namespaceSelector?: string | undefined;
  natOutgoing?: boolean | undefined;
  nodeSelector?: string | undefined;
  vxlanMode?: string | undefined;
}

export interface BlockAffinity {
  apiVersion?: string | undefined;
  kind?: string | undefined;
  metadata: ObjectMeta;
  spec?: BlockAffinitySpec | undefined;
}

export interface BlockAffinitySpec {
  cidr: string;
  /** Calico keeps this boolean as text. */
  deleted: string;
  node: string;
  /** `confirmed` or `pending`. */
  state: string;
  type?: string | undefined;
}
