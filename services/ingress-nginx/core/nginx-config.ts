// The model as nginx.conf. Source: rootfs/etc/nginx/template/nginx.tmpl of ingress-nginx; where that balances in Lua, this
// lists the endpoints in upstream blocks, and nginx is told to read them anew.
import { DEFAULT_HOST, type Location, type Model, type Upstream, type VirtualServer } from './model.ts';
import type { LocationSettings } from './annotations.ts';

export interface NginxSettings {
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly folder: string;
  /** Path of the certificate (with its key in the same file) for a Secret, or of the default one. */
  readonly certificateOf: (secret: string | undefined) => string;
  /** For ExternalName Services: addresses of name servers. */
  readonly resolvers: readonly string[];
  readonly user: string | undefined;
  readonly workers: number;
}

const quoted = (text: string): string => `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('$', '${dollar}')}"`;
const escapedRegex = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** A wildcard stands for one label. */
function serverName(host: string): string {
  if (host === DEFAULT_HOST) return '_';
  return host.startsWith('*.') ? `"~^(?<subdomain>[\\w-]+)\\.${escapedRegex(host.slice(2))}$"` : host;
}

export function nginxConfig(model: Model, settings: NginxSettings): string {
  const upstreams = new Map(model.upstreams.map((upstream) => [upstream.name, upstream]));
  const limited = model.servers.flatMap(({ locations }) => locations).filter(({ settings: own }) => own.limitRps > 0);
  return `# Made by the controller: changes are lost.
${settings.user === undefined ? '' : `user ${settings.user};\n`}worker_processes ${settings.workers};
pid ${settings.folder}/nginx.pid;
daemon off;
error_log stderr notice;
worker_shutdown_timeout 240s;
events {
  multi_accept on;
  worker_connections 4096;
}
http {
  default_type text/html;
  uninitialized_variable_warn off;
  client_body_temp_path ${settings.folder}/client-body;
  proxy_temp_path ${settings.folder}/proxy;
  fastcgi_temp_path ${settings.folder}/fastcgi;
  uwsgi_temp_path ${settings.folder}/uwsgi;
  scgi_temp_path ${settings.folder}/scgi;
  server_tokens off;
  aio threads;
  tcp_nopush on;
  keepalive_timeout 75s;
  keepalive_requests 1000;
  client_header_buffer_size 1k;
  large_client_header_buffers 4 8k;
  types_hash_max_size 2048;
  server_names_hash_max_size 4096;
  server_names_hash_bucket_size 256;
  variables_hash_max_size 2048;
  proxy_headers_hash_bucket_size 128;
  ignore_invalid_headers on;
  underscores_in_headers off;
  ssl_protocols TLSv1.2 TLSv1.3;
  ssl_session_cache shared:SSL:1m;
  ssl_session_timeout 10m;
${settings.resolvers.length > 0 ? `  resolver ${settings.resolvers.join(' ')} valid=30s ipv6=off;\n` : ''}  geo $dollar {
    default "$";
  }
  map $http_upgrade $connection_upgrade {
    default upgrade;
    '' '';
  }
  map $http_x_request_id $req_id {
    default $http_x_request_id;
    '' $request_id;
  }
  map $http_host $best_http_host {
    default $http_host;
    '' $host;
  }
  log_format upstreaminfo '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" $request_length $request_time [$proxy_upstream_name] [] $upstream_addr $upstream_response_length $upstream_response_time $upstream_status $req_id';
  access_log ${settings.folder}/access.log upstreaminfo;
${limited.map((location) => `  limit_req_zone $binary_remote_addr zone=${zoneOf(location)}:5m rate=${location.settings.limitRps}r/s;\n`).filter((line, index, all) => all.indexOf(line) === index).join('')}${model.upstreams.filter(({ servers }) => servers.length > 0).map(upstreamBlock).join('')}${model.servers.map((server) => serverBlock(server, upstreams, settings)).join('')}}
`;
}

const zoneOf = ({ ingress, settings }: Location): string => `${ingress.replaceAll('/', '_')}_rps${settings.limitRps}`;

function upstreamBlock({ name, servers, sticky }: Upstream): string {
  return `  upstream ${name} {
${sticky ? '    hash $cookie_INGRESSCOOKIE$remote_addr consistent;\n' : ''}${servers.map((server) => `    server ${server} max_fails=0;\n`).join('')}    keepalive 32;
    keepalive_timeout 60s;
  }
`;
}

function serverBlock(server: VirtualServer, upstreams: ReadonlyMap<string, Upstream>, settings: NginxSettings): string {
  const isDefault = server.host === DEFAULT_HOST;
  const certificate = settings.certificateOf(server.secret);
  const names = [serverName(server.host), ...server.aliases.map(serverName)].join(' ');
  const usesRegex = server.locations.some(({ settings: { useRegex, rewriteTarget } }) => useRegex || rewriteTarget !== undefined);
  const appRoot = server.locations.find(({ settings: { appRoot: root } }) => root !== undefined)?.settings.appRoot;
  const hasRoot = server.locations.some(({ path, pathType }) => path === '/' && pathType !== 'Exact');
  return `  server {
    listen ${settings.httpPort}${isDefault ? ' default_server backlog=4096' : ''};
    listen ${settings.httpsPort}${isDefault ? ' default_server backlog=4096' : ''} ssl http2;
    server_name ${names};
    set $proxy_upstream_name "-";
    ssl_certificate ${certificate};
    ssl_certificate_key ${certificate};
${appRoot === undefined ? '' : `    if ($uri = /) {\n      return 302 $scheme://$http_host${appRoot};\n    }\n`}${inOrder(server.locations, usesRegex).map((location) => locationBlocks(location, server, upstreams, usesRegex)).join('')}${hasRoot ? '' : `    location / {
      set $proxy_upstream_name "upstream-default-backend";
      return 404;
    }
`}  }
`;
}

/** nginx takes the first regular expression that matches: the longest path has to come first. */
function inOrder(locations: readonly Location[], usesRegex: boolean): readonly Location[] {
  return usesRegex ? [...locations].sort((a, b) => b.path.length - a.path.length || (a.path < b.path ? -1 : 1)) : locations;
}

function matchersOf({ path, pathType }: Location, usesRegex: boolean): string[] {
  if (usesRegex) return [pathType === 'Exact' ? `= ${quoted(path)}` : `~* ${quotedRegex(pathType === 'Prefix' && path !== '/' ? `^${path.replace(/\/$/, '')}` : `^${path}`)}`];
  if (pathType === 'Exact') return [`= ${quoted(path)}`];
  if (pathType === 'ImplementationSpecific' || path === '/') return [quoted(path)];
  const bare = path.replace(/\/+$/, '');
  return [quoted(`${bare}/`), `= ${quoted(bare)}`]; // /foo is for /foo and /foo/bar, not for /foobar
}
/** In a regular expression `$` is an anchor, not a variable; quotes and backslashes before quotes must not end it. */
const quotedRegex = (text: string): string => `"${text.replaceAll('"', '\\"')}"`;

function locationBlocks(location: Location, server: VirtualServer, upstreams: ReadonlyMap<string, Upstream>, usesRegex: boolean): string {
  const upstream = upstreams.get(location.upstream);
  const body = `      set $proxy_upstream_name ${quoted(location.upstream)};
      set $ingress_name ${quoted(location.ingress)};
${accessRules(location, server)}${location.settings.limitRps > 0 ? `      limit_req zone=${zoneOf(location)} burst=${location.settings.limitRps * 5} nodelay;\n      limit_req_status 503;\n` : ''}${passRules(location, upstream)}`;
  return matchersOf(location, usesRegex).map((matcher) => `    location ${matcher} {\n${body}    }\n`).join('');
}

function accessRules({ settings }: Location, { hasTls, host }: VirtualServer): string {
  const { sslRedirect, forceSslRedirect, permanentRedirect, permanentRedirectCode, temporalRedirect, allowedSources, deniedSources } = settings;
  const lines: string[] = [];
  if (forceSslRedirect || (hasTls && host !== DEFAULT_HOST && sslRedirect !== false)) {
    lines.push('if ($scheme = http) {', '  return 308 https://$best_http_host$request_uri;', '}');
  }
  if (hasTls) lines.push('if ($scheme = https) {', '  set $hsts "max-age=31536000; includeSubDomains";', '}', 'if ($scheme != https) {', '  set $hsts "";', '}', 'add_header Strict-Transport-Security $hsts always;');
  for (const source of deniedSources) lines.push(`deny ${source};`);
  for (const source of allowedSources) lines.push(`allow ${source};`);
  if (allowedSources.length > 0) lines.push('deny all;');
  if (permanentRedirect !== undefined) lines.push(`return ${permanentRedirectCode} ${permanentRedirect};`);
  else if (temporalRedirect !== undefined) lines.push(`return 302 ${temporalRedirect};`);
  return lines.map((line) => `      ${line}\n`).join('');
}

function passRules({ path, settings }: Location, upstream: Upstream | undefined): string {
  if (settings.permanentRedirect !== undefined || settings.temporalRedirect !== undefined) return '';
  if (!upstream || (upstream.servers.length === 0 && upstream.externalName === undefined)) return '      return 503;\n';
  const { backendProtocol: protocol } = settings;
  const isGrpc = protocol.startsWith('grpc');
  const kind = isGrpc ? 'grpc' : 'proxy';
  const lines = [
    `client_max_body_size ${settings.bodySize};`,
    ...(settings.rewriteTarget === undefined ? [] : [`rewrite "(?i)${path.replaceAll('"', '\\"')}" "${settings.rewriteTarget}" break;`]),
    ...(settings.affinity ? ['add_header Set-Cookie "INGRESSCOOKIE=$req_id; Path=/; HttpOnly" always;'] : []),
    ...(settings.enableCors ? corsRules() : []),
    ...forwardedHeaders(settings, kind),
    `${kind}_connect_timeout ${settings.connectTimeoutSeconds}s;`, `${kind}_send_timeout ${settings.sendTimeoutSeconds}s;`, `${kind}_read_timeout ${settings.readTimeoutSeconds}s;`,
    `${kind}_next_upstream error timeout;`, `${kind}_next_upstream_tries 3;`,
    ...(isGrpc ? [] : [
      `proxy_buffering ${settings.buffering ? 'on' : 'off'};`, 'proxy_request_buffering on;', 'proxy_buffer_size 4k;', 'proxy_buffers 4 4k;', 'proxy_max_temp_file_size 1024m;', 'proxy_http_version 1.1;',
      'proxy_cookie_domain off;', 'proxy_cookie_path off;', 'proxy_redirect off;',
    ]),
  ];
  if (upstream.externalName !== undefined) {
    lines.push(`set $external_name ${quoted(`${upstream.externalName}:${upstream.externalPort ?? 80}`)};`, `${kind}_pass ${protocol}://$external_name;`);
  } else lines.push(`${kind}_pass ${protocol}://${upstream.name};`);
  return lines.map((line) => `      ${line}\n`).join('');
}

function forwardedHeaders({ upstreamHost }: LocationSettings, kind: 'proxy' | 'grpc'): string[] {
  const header = (name: string, value: string): string => `${kind}_set_header ${name} ${value};`;
  return [
    header('Host', upstreamHost === undefined ? '$best_http_host' : quoted(upstreamHost)),
    ...(kind === 'proxy' ? [header('Upgrade', '$http_upgrade'), header('Connection', '$connection_upgrade')] : []),
    header('X-Request-ID', '$req_id'), header('X-Real-IP', '$remote_addr'), header('X-Forwarded-For', '$remote_addr'), header('X-Forwarded-Host', '$best_http_host'),
    header('X-Forwarded-Port', '$server_port'), header('X-Forwarded-Proto', '$scheme'), header('X-Forwarded-Scheme', '$scheme'), header('X-Scheme', '$scheme'),
    header('X-Original-Forwarded-For', '$http_x_forwarded_for'), header('Proxy', '""'),
  ];
}

function corsRules(): string[] {
  const headers = [
    "add_header Access-Control-Allow-Origin * always;", 'add_header Access-Control-Allow-Credentials true always;',
    'add_header Access-Control-Allow-Methods "GET, PUT, POST, DELETE, PATCH, OPTIONS" always;',
    'add_header Access-Control-Allow-Headers "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization" always;',
    'add_header Access-Control-Max-Age 1728000 always;',
  ];
  return [...headers, 'if ($request_method = OPTIONS) {', ...headers.map((line) => `  ${line.replace(' always;', ';')}`), '  return 204;', '}'];
}
