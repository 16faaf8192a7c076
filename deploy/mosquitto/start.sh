#!/bin/sh
# Starts the broker with the passwords that the container "credentials" made. Users that were added stay.
set -eu
users=/mosquitto/users
credentials=/run/iot
trap "exit 1" TERM
until [ -s "$credentials/bridge" ] && [ -s "$credentials/demo" ]; do sleep 0.2; done
new=$users/passwords.new
if [ -s "$users/passwords" ]; then cp "$users/passwords" "$new"; else : >"$new"; fi
chmod 600 "$new"
for user in bridge demo; do
  said=$(mosquitto_passwd -b "$new" "$user" "$(cat "$credentials/$user")" 2>&1) || { echo "$said" >&2; exit 1; }
done
mv "$new" "$users/passwords"
cp /etc/iot/acl "$users/acl"
cp /etc/iot/mosquitto.conf "$users/mosquitto.conf"
if [ -r /certificates/server.key ]; then
  cp /certificates/server.key "$users/server.key"
  cat /etc/iot/tls.conf >>"$users/mosquitto.conf"
fi
chmod 600 "$users"/*
chown -R mosquitto "$users" /mosquitto/data
exec mosquitto -c "$users/mosquitto.conf"
