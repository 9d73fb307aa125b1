# Shared by the scripts of this folder: deploy/lib.sh's phases, over commands with their output in a log.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../deploy/lib.sh"
CHERRY_LOGS=${CHERRY_LOGS:-$CHERRY_ROOT/build/logs}
mkdir -p "$CHERRY_LOGS"

# logged NAME COMMAND...: one phase; its output goes to a log that a failure names.
logged() {
  COMMAND=("${@:2}")
  LOG=$CHERRY_LOGS/$(printf '%s' "$1" | tr -c 'a-zA-Z0-9' -).log
  phase "$1" run_command
}
run_command() {
  "${COMMAND[@]}" > "$LOG" 2>&1 || fail "${COMMAND[*]} failed" "read the log, mend it, run the script again"
  DID=${COMMAND[0]##*/}
}
