#!/bin/sh
# A self-signed certificate for port 443, made when the container starts.
set -e
[ -f /etc/nginx/conf.d/tls.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
    -subj "/CN=$(hostname)" -keyout /etc/nginx/conf.d/tls.key -out /etc/nginx/conf.d/tls.crt 2>/dev/null
