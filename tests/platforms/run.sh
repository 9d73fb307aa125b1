#!/usr/bin/env bash
# Tries Cherry as one platform installs it, on the real thing. Usage: tests/platforms/run.sh NAME; without one it lists
# what there is.
set -euo pipefail
cd "$(dirname "$0")"

list() {
  local script
  for script in *.sh; do
    case $script in run.sh | lib*.sh) continue ;; esac
    printf '%-12s %s\n' "${script%.sh}" "$(sed -n '2s/^# //p' "$script")"
  done
}

if [ $# = 0 ]; then list; exit; fi
case $1 in
  --help | -h) sed -n '2,3s/^# //p' run.sh; list; exit ;;
  run | lib* | */* | -*) found= ;;
  *) found=$1.sh ;;
esac
if [ -z "$found" ] || [ ! -f "$found" ]; then
  { echo "error: '$1' is no platform: choose from"; list; } >&2
  exit 2
fi
exec "./$found" "${@:2}"
