#!/bin/bash
# Makes the database cluster in $PGDATA on the first start, as the official image does, and becomes the server.
set -euo pipefail
if [ "${1:-}" = "" ] || [ "${1#-}" != "$1" ]; then set -- postgres "$@"; fi
[ "$1" = postgres ] || exec "$@"
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
PATH=$bin:$PATH
export PGDATA=${PGDATA:-/var/lib/postgresql/data}
value() { # NAME: $NAME, or what is in the file $NAME_FILE
    local file=$1_FILE
    if [ -n "${!file:-}" ]; then cat "${!file}"; else printf '%s' "${!1:-}"; fi
}
become=()
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA" /var/run/postgresql
    chown -R postgres:postgres "$PGDATA" /var/run/postgresql
    chmod 700 "$PGDATA"
    become=(setpriv --reuid=postgres --regid=postgres --init-groups)
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=$(value POSTGRES_USER) password=$(value POSTGRES_PASSWORD) database=$(value POSTGRES_DB)
    user=${user:-postgres} database=${database:-$user} method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [ -z "$password" ] && [ "$method" != trust ]; then
        echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
        echo '       You must specify POSTGRES_PASSWORD to a non-empty value for the superuser.' >&2
        exit 1
    fi
    secret=()
    if [ -n "$password" ]; then
        printf '%s\n' "$password" | "${become[@]}" sh -c 'umask 077; cat >/var/run/postgresql/password' || exit 1
        secret=(--pwfile=/var/run/postgresql/password)
    fi
    "${become[@]}" initdb --username="$user" "${secret[@]}" --auth-local=trust --auth-host="$method" ${POSTGRES_INITDB_ARGS:-}
    rm -f /var/run/postgresql/password
    echo "host all all all $method" | "${become[@]}" tee -a "$PGDATA/pg_hba.conf" >/dev/null
    if [ "$database" != postgres ]; then
        printf 'CREATE DATABASE "%s";\n' "${database//\"/\"\"}" | "${become[@]}" postgres --single -j -D "$PGDATA" postgres >/dev/null
    fi
fi
shift
exec "${become[@]}" postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql "$@"
