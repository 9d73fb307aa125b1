#!/usr/bin/env bash
# Runs a command of a fresh clone on a bare Debian 12: what a newcomer's machine would do.
set -euo pipefail
source "$(dirname "$0")/lib.sh"
source "$(dirname "$0")/bare-root.sh"

usage() {
  cat <<'END'
usage: deploy/bare-machine.sh [--keep] COMMAND...

Makes a root of Debian's minbase with git and nothing else, clones this repository's HEAD into it,
and runs COMMAND in the clone, for instance
  deploy/bare-machine.sh ./tests/run.sh
Prints the time of each phase; exits as COMMAND does. Needs root, debootstrap and about 12 GB in
$TMPDIR. The root uses this machine's Debian mirror, certificates and package index settings, since it
has no others. Mounts live in a namespace of their own and end with it, however the script ends.

  --keep  leave the root, and say where it is
END
}

KEEP=0
while [ $# -gt 0 ]; do
  case $1 in
    --keep) KEEP=1; shift ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) break ;;
  esac
done
if [ $# = 0 ]; then usage >&2; exit 2; fi
can_make_root

clone() {
  git clone -q --no-hardlinks "$CHERRY_ROOT" "$ROOT/srv/cherry" >> "$LOG" 2>&1 ||
    fail "git clone failed" "read the log"
  git -C "$ROOT/srv/cherry" remote remove origin
  DID=$(git -C "$ROOT/srv/cherry" log -1 --format='%h %s')
}

# The environment of a login, and proxies.
run_command() {
  local variable passed=()
  while IFS='=' read -r variable _; do
    case $variable in
      http_proxy | https_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY) passed+=("$variable=${!variable}") ;;
    esac
  done < <(env)
  RC=0
  env -i HOME=/srv/home USER=root LANG=C.UTF-8 TERM="${TERM:-dumb}" "${passed[@]}" \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$ROOT" bash -c 'cd /srv/cherry && exec "$@"' bash "${COMMAND[@]}" || RC=$?
  DID="exit status $RC: ${COMMAND[*]}"
}

# As the first process of its own namespaces: when it ends, so do its mounts and processes.
inside() {
  local start=$EPOCHREALTIME
  LOG=$ROOT.log
  : > "$LOG"
  phase 'bare root' make_root
  phase 'network settings' copy_settings
  phase 'clone' clone
  mount_kernel
  phase 'command' run_command
  printf '%-22s %7.1f s\n' 'bare machine' "$(seconds_since "$start")"
  return "$RC"
}

if [ -n "${CHERRY_BARE_ROOT:-}" ]; then
  ROOT=$CHERRY_BARE_ROOT
  COMMAND=("$@")
  inside
  exit
fi

ROOT=$(mktemp -d "${TMPDIR:-/tmp}/cherry-bare-XXXXXX")
chmod 755 "$ROOT"
cleanup() {
  if [ $KEEP = 1 ]; then
    say "root: $ROOT (rm -rf --one-file-system it when done)"
  else
    rm -rf --one-file-system "$ROOT" "$ROOT.log"
  fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM
RC=0
CHERRY_BARE_ROOT=$ROOT unshare --mount --propagation private --pid --fork --kill-child "$0" "$@" || RC=$?
exit "$RC"
