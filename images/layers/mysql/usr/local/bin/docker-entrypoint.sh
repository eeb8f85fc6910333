#!/bin/bash
# Makes the data folder on the first start, as the official image does, and becomes the server: Debian's MariaDB.
set -euo pipefail
if [ "${1:-}" = "" ] || [ "${1#-}" != "$1" ]; then set -- mysqld "$@"; fi
case $1 in mysqld|mariadbd) ;; *) exec "$@" ;; esac
shift
value() { # NAME: $MYSQL_NAME or $MARIADB_NAME, or what is in the file that ..._FILE names
    local name file
    for name in "MYSQL_$1" "MARIADB_$1"; do
        file=${name}_FILE
        if [ -n "${!file:-}" ]; then cat "${!file}"; return; fi
        if [ -n "${!name:-}" ]; then printf '%s' "${!name}"; return; fi
    done
}
quoted() { local text=${1//\\/\\\\}; printf "'%s'" "${text//\'/\\\'}"; }
named() { printf '`%s`' "${1//\`/\`\`}"; }
data=/var/lib/mysql
mkdir -p "$data" /run/mysqld
chown -R mysql:mysql "$data" /run/mysqld
first=()
if [ ! -d "$data/mysql" ]; then
    password=$(value ROOT_PASSWORD) database=$(value DATABASE) user=$(value USER) userpassword=$(value PASSWORD)
    if [ -z "$password" ] && [ -z "$(value ALLOW_EMPTY_PASSWORD)$(value ALLOW_EMPTY_ROOT_PASSWORD)" ]; then
        echo '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified' >&2
        echo '    You need to specify one of the following as an environment variable: MYSQL_ROOT_PASSWORD, MYSQL_ALLOW_EMPTY_PASSWORD' >&2
        exit 1
    fi
    mariadb-install-db --user=mysql --datadir="$data" --skip-test-db >/dev/null
    {
        echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(quoted "$password");"
        echo "CREATE USER 'root'@'%' IDENTIFIED BY $(quoted "$password");"
        echo "GRANT ALL ON *.* TO 'root'@'%' WITH GRANT OPTION;"
        if [ -n "$database" ]; then echo "CREATE DATABASE IF NOT EXISTS $(named "$database");"; fi
        if [ -n "$user" ]; then
            echo "CREATE USER $(quoted "$user")@'%' IDENTIFIED BY $(quoted "$userpassword");"
            if [ -n "$database" ]; then echo "GRANT ALL ON $(named "$database").* TO $(quoted "$user")@'%';"; fi
        fi
    } >/run/mysqld/first.sql
    chown mysql:mysql /run/mysqld/first.sql
    first=(--init-file=/run/mysqld/first.sql)
fi
exec mariadbd --no-defaults --user=mysql --datadir="$data" --socket=/run/mysqld/mysqld.sock --bind-address=0.0.0.0 "${first[@]}" "$@"
