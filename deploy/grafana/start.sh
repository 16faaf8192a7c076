#!/bin/sh
# Starts Grafana with the passwords that the container "credentials" made. It waits for them rather than depend on who
# makes them, as db does.
set -eu
credentials=/run/iot
trap "exit 1" TERM
until [ -s "$credentials/database" ] && [ -s "$credentials/admin" ]; do sleep 0.2; done
DATABASE_PASSWORD=$(cat "$credentials/database")
export DATABASE_PASSWORD
exec /run.sh "$@"
