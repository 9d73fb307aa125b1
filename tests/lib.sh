# Shared by the scripts here: phases with their times, and failures that name phase, log and remedy.
set -euo pipefail
CHERRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHERRY_LOGS=${CHERRY_LOGS:-$CHERRY_ROOT/build/logs}
mkdir -p "$CHERRY_LOGS"

# phase NAME COMMAND...: runs it with its output in a log, prints one line with the time it took.
phase() {
  local name=$1 log start
  shift
  log="$CHERRY_LOGS/$(printf '%s' "$name" | tr -c 'a-zA-Z0-9' -).log"
  start=$(date +%s.%N)
  if ! "$@" >"$log" 2>&1; then
    printf '%-28s FAILED\n' "$name"
    tail -n 40 "$log" | sed 's/^/  | /'
    printf 'error: phase "%s" failed\n  log: %s\n  remedy: see the end of the log above; run the phase alone with: %s\n' \
      "$name" "$log" "$*"
    return 1
  fi
  printf '%-28s %6.1f s\n' "$name" "$(echo "$(date +%s.%N) $start" | awk '{print $1 - $2}')"
}
