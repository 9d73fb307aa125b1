# shellcheck shell=bash
# Shared by the scripts of this folder: source it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../deploy/lib.sh"
source "$CHERRY_ROOT/deploy/bare-root.sh"
WORK=$CHERRY_ROOT/build/platforms
mkdir -p "$WORK"

# bare_root FOLDER: Debian's minbase in it. One that is younger than a day is unpacked instead of made.
bare_root() {
  local kept=$WORK/bookworm-minbase.tar
  ROOT=$1 INCLUDE=ca-certificates
  mkdir -p "$ROOT"
  if [ -z "$(find "$kept" -mmin -1440 2> /dev/null)" ]; then
    make_root
    tar -C "$ROOT" -cf "$kept.part" .
    mv "$kept.part" "$kept"
    DID="debootstrap --variant=minbase bookworm"
  else
    tar -C "$ROOT" -xpf "$kept"
    DID="as made less than a day ago"
  fi
}

# commands_of FILE SECTION: what stands after '# ' in the console blocks of a section ("## SECTION"), each on one line.
commands_of() {
  awk -v section="## $2" '
    /^## / { inside = $0 == section }
    /^```/ { block = !block && $0 == "```console"; next }
    inside && block && (open || /^# /) {
      line = $0
      if (open) sub(/^ +/, "", line); else sub(/^# /, "", line)
      open = sub(/\\$/, "", line)
      printf open ? "%s" : "%s\n", line
    }' "$1"
}
