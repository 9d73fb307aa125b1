#!/bin/bash
# Healthy when the daemon answers on its metrics port. Usage: cherry-health PORT
exec 3<> "/dev/tcp/127.0.0.1/${1:?a port}" || exit 1
printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
read -r -t 4 status <&3 && [[ $status == *' 200 '* ]]
