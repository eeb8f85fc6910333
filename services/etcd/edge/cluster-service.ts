// gRPC service Cluster: who belongs to it, and changes of that. Source: etcd v3.6, server/etcdserver/api/v3rpc/member.go.
import type { ResponseHeader } from '#lib/etcd-api/messages.ts';
import { clusterService } from '#lib/etcd-api/services.ts';
import type { Authenticator } from './authenticator.ts';
import { unaryService, type CallContext, type GrpcService } from './grpc-server.ts';
import type { Member } from './member.ts';
import { memberInfo, type Membership } from './membership.ts';

export interface ClusterServiceOptions extends CallContext {
  readonly member: Member;
  readonly membership: Membership;
  readonly authenticator: Authenticator;
}

export function newClusterService({ member, membership, authenticator, ...context }: ClusterServiceOptions): GrpcService {
  const header = (): ResponseHeader => ({ ...member.header(), revision: 0 }); // as etcd's, whose members have none
  const members = (): ReturnType<typeof memberInfo>[] => member.cluster.list().map(memberInfo);
  return unaryService(clusterService, {
    MemberAdd: async ({ peerURLs, isLearner }, _, caller) => {
      await authenticator.requireAdmin(caller);
      const added = await membership.add(peerURLs, isLearner);
      return { header: header(), member: memberInfo(added), members: members() };
    },
    MemberRemove: async ({ ID }, _, caller) => {
      await authenticator.requireAdmin(caller);
      await membership.remove(ID);
      return { header: header(), members: members() };
    },
    MemberUpdate: async ({ ID, peerURLs }, _, caller) => {
      await authenticator.requireAdmin(caller);
      await membership.update(ID, peerURLs);
      return { header: header(), members: members() };
    },
    MemberList: async ({ linearizable }, _, caller) => {
      if (linearizable) await member.linearizable();
      await authenticator.requireUser(caller);
      return { header: header(), members: members() };
    },
    MemberPromote: async ({ ID }, _, caller) => {
      await authenticator.requireAdmin(caller);
      await membership.promote(ID);
      return { header: header(), members: members() };
    },
  }, context);
}
