# One image for every container of docker-compose.yml: a host of the cluster, or the place where a process of the control plane runs.
# Plain syntax: builds with BuildKit and without.
ARG BASE_IMAGE=node:20-bookworm-slim
FROM ${BASE_IMAGE} AS programs
# With the packages that only a build needs, such as those with the descriptions of the API's types.
WORKDIR /opt/kubreak
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run --silent build

FROM ${BASE_IMAGE}
# What the hosts' programs use, what people type on a host, and what built-in images run (images/README.md). RUNLEVEL=1:
# nothing is started while installing.
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends \
    bash-completion busybox-static ca-certificates conntrack curl dnsutils etcd-client iproute2 iputils-ping kubernetes-client libfaketime \
    libnginx-mod-http-headers-more-filter less memcached nano nftables nginx-light openssl perl procps redis-server tcpdump >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/*
WORKDIR /opt/kubreak
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund
COPY . .
COPY --from=programs /opt/kubreak/dist dist
# containerd: for hosts that run Debian's in place of the container runtime that is built in.
ARG CONTAINER_RUNTIME=
RUN [ "$CONTAINER_RUNTIME" != containerd ] || { apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends containerd runc >/dev/null \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/* /var/log/*; }
RUN node dist/compose-host.js tools && ln -s /opt/kubreak/dist/kubreak.js /usr/local/bin/kubreak
WORKDIR /root
ENTRYPOINT ["/opt/kubreak/cli/compose/entrypoint.sh"]
