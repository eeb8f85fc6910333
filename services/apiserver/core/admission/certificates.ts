// Who may approve and sign certificate requests, and which subjects the cluster's own signer refuses.
// Source: plugin/pkg/admission/certificates/{approval,signing,subjectrestriction}, pkg/registry/certificates/certificates/strategy.go.
import type { CertificateSigningRequest } from '#lib/kinds/types/certificates-v1.ts';
import { semanticEqual } from '#lib/machinery/deep-equal.ts';
import type { Authorizer, User } from '../access.ts';
import { isKind, refusal, type AdmissionAttributes, type AdmissionPlugin } from './admission.ts';
import { csrOrganizations } from './csr-subject.ts';

const GROUP = 'certificates.k8s.io';
const CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client';
const MASTERS = 'system:masters';

const isRequest = (attributes: AdmissionAttributes): boolean => isKind(attributes, GROUP, 'CertificateSigningRequest');
const signerOf = ({ previous, object }: AdmissionAttributes): string => ((previous ?? object) as CertificateSigningRequest).spec?.signerName ?? '';

/** For the signer itself, or for all signers of its domain. */
async function maySigner(authorizer: Authorizer, user: User, verb: string, signerName: string): Promise<boolean> {
  const base = { user, verb, isResourceRequest: true, apiGroup: GROUP, apiVersion: '*', resource: 'signers', subresource: '', namespace: '', path: '' };
  if ((await authorizer.authorize({ ...base, name: signerName })).allowed) return true;
  const domain = signerName.split('/')[0] ?? '';
  return (await authorizer.authorize({ ...base, name: `${domain}/*` })).allowed;
}

export function certificateApproval(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateApproval',
    validate: async (attributes) => {
      if (attributes.operation !== 'UPDATE' || attributes.subresource !== 'approval' || !isRequest(attributes)) return;
      const signer = signerOf(attributes);
      if (!await maySigner(authorizer, attributes.user, 'approve', signer)) throw refusal(attributes, `user not permitted to approve requests with signerName ${JSON.stringify(signer)}`);
    },
  };
}

export function certificateSigning(authorizer: Authorizer): AdmissionPlugin {
  return {
    name: 'CertificateSigning',
    validate: async (attributes) => {
      if (attributes.operation !== 'UPDATE' || attributes.subresource !== 'status' || !isRequest(attributes)) return;
      const [next, old] = [attributes.object, attributes.previous] as [CertificateSigningRequest, CertificateSigningRequest];
      if ((next.status?.certificate ?? '') === (old.status?.certificate ?? '') && semanticEqual(next.status?.conditions, old.status?.conditions)) return;
      const signer = signerOf(attributes);
      if (!await maySigner(authorizer, attributes.user, 'sign', signer)) throw refusal(attributes, `user not permitted to sign requests with signerName ${JSON.stringify(signer)}`);
    },
  };
}

export const certificateSubjectRestriction: AdmissionPlugin = {
  name: 'CertificateSubjectRestriction',
  validate: (attributes) => {
    if (attributes.operation !== 'CREATE' || attributes.subresource !== '' || !isRequest(attributes)) return;
    const { spec } = attributes.object as CertificateSigningRequest;
    if (spec?.signerName !== CLIENT_SIGNER) return;
    const organizations = csrOrganizations(spec.request);
    if (organizations === undefined) throw refusal(attributes, 'failed to parse CSR: PEM block type must be CERTIFICATE REQUEST');
    if (organizations.includes(MASTERS)) throw refusal(attributes, `use of ${CLIENT_SIGNER} signer with ${MASTERS} group is not allowed`);
  },
};

/** Who asked is part of the request, and only the server says who that is. Not a plugin of upstream's: its registry does it. */
export const certificateRequester: AdmissionPlugin = {
  name: 'CertificateRequester',
  admit: (attributes) => {
    if (attributes.operation !== 'CREATE' || attributes.subresource !== '' || !isRequest(attributes)) return;
    const { spec } = attributes.object as CertificateSigningRequest;
    if (!spec) return;
    const { name, uid, groups, extra } = attributes.user;
    spec.username = name;
    spec.groups = [...groups];
    if (uid === undefined) delete spec.uid;
    else spec.uid = uid;
    if (extra === undefined) delete spec.extra;
    else spec.extra = Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]]));
  },
};
