#!/bin/sh
# Runs the scripts in /docker-entrypoint.d, if there are any, and becomes the command given.
set -e
if [ "$1" = nginx ] && [ -d /docker-entrypoint.d ]; then
    for script in /docker-entrypoint.d/*.sh; do
        if [ -x "$script" ]; then "$script"; fi
    done
fi
exec "$@"
