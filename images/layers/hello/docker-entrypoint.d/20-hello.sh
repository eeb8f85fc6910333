#!/bin/sh
# hello-app answers on $PORT with its version and its host.
cat >/etc/nginx/conf.d/default.conf <<EOF
server {
    listen ${PORT:-8080};
    location / { return 200 "Hello, world!\nVersion: $HELLO_VERSION\nHostname: $(hostname)\n"; }
}
EOF
