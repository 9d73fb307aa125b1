# Shell functions shared by the scripts of this folder: source it, do not run it.
#
# A script is a sequence of phases. Each prints one line when it ends, with its time; one that fails
# names itself, its log and a remedy, and ends the script.

CHERRY_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CHERRY_DEPS=${CHERRY_DEPS:-$HOME/.cache/cherry/deps}
CHERRY_QUIET=${CHERRY_QUIET:-0}
LOG=/dev/null   # of the phase under way

say() { if [ "$CHERRY_QUIET" != 1 ]; then printf '%s\n' "$*"; fi; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# fail WHAT REMEDY: ends the script.
fail() {
  clear_line
  {
    printf 'error: %s: %s\n' "${PHASE:-start}" "$1"
    if [ -s "$LOG" ]; then tail -n 15 "$LOG" | sed 's/^/  | /'; printf '  log: %s\n' "$LOG"; fi
    printf '  remedy: %s\n' "$2"
  } >&2
  exit 1
}

# phase NAME FUNCTION: runs it in this shell and prints its time. The function says what it did in $DID.
phase() {
  local start=$EPOCHREALTIME
  PHASE=$1 DID=
  "$2"
  clear_line
  if [ "$CHERRY_QUIET" != 1 ]; then
    printf '%-22s %7.1f s  %s\n' "$1" "$(seconds_since "$start")" "$DID"
  fi
}

seconds_since() {
  local now=${EPOCHREALTIME//[.,]/} then=${1//[.,]/}
  printf '%d.%06d' $(((now - then) / 1000000)) $(((now - then) % 1000000))
}

# Progress is drawn on terminals only, on one line that is overwritten.
draws_progress() { [ "$CHERRY_QUIET" != 1 ] && [ -t 1 ]; }
clear_line() { if draws_progress; then printf '\r\033[K'; fi; }

# bar PERCENT TEXT
bar() {
  local filled=$(($1 * 24 / 100)) full
  printf -v full '%*s' "$filled" ''
  printf '\r\033[K%-14s [%-24s] %3d%%  %.40s' "$PHASE" "${full// /#}" "$1" "$2"
}

# list_lines FILE...: the entries of pinned lists, without comments.
list_lines() { sed -E 's/[[:space:]]*#.*//; /^[[:space:]]*$/d' "$@"; }

# The first two numbers of a version's upstream part: revisions of one series replace each other.
series() {
  local upstream=${1#*:}
  upstream=${upstream%-*}
  cut -d. -f1,2 <<< "${upstream%%+*}"
}

# pick_version NAME WANTED: WANTED when the mirror has it, else the newest of its series, with a warning.
pick_version() {
  local name=$1 wanted=$2 best= candidate
  while read -r candidate; do
    if [ "$candidate" = "$wanted" ]; then printf '%s' "$wanted"; return; fi
    if [ "$(series "$candidate")" = "$(series "$wanted")" ]; then
      if [ -z "$best" ] || dpkg --compare-versions "$candidate" gt "$best"; then best=$candidate; fi
    fi
  done < <(apt-cache madison "$name" | awk -F'|' '{gsub(/ /, "", $2); print $2}')
  if [ -z "$best" ]; then return 1; fi
  warn "$name $wanted is not on the mirror: taking $best"
  printf '%s' "$best"
}

# unpack_deb NAME DIR: the package's files beneath DIR, at the version and hash of packages-unpacked.txt.
# Nothing is installed. Uses apt's own verification for another revision of the same series.
unpack_deb() {
  local name=$1 target=$2 line wanted hash version work file
  line=$(list_lines "$CHERRY_ROOT/deploy/packages-unpacked.txt" | grep "^$name=") ||
    fail "$name is not in deploy/packages-unpacked.txt" "add it with its version and sha256"
  wanted=${line#*=} wanted=${wanted%% *} hash=${line##*sha256:}
  if [ "$(cat "$target/.version" 2> /dev/null)" = "$line" ]; then return; fi
  version=$(pick_version "$name" "$wanted") ||
    fail "$name $wanted is not on the mirror" "run apt-get update as root, or put a version that exists in deploy/packages-unpacked.txt"
  work=$(mktemp -d)
  (cd "$work" && apt-get -o APT::Sandbox::User=root download "$name=$version") >> "$LOG" 2>&1 ||
    fail "cannot download $name $version" "check the network and the mirror in /etc/apt"
  file=$(echo "$work"/*.deb)
  if [ "$version" = "$wanted" ] && ! sha256sum --quiet -c - <<< "$hash  $file" >> "$LOG" 2>&1; then
    fail "$name $version has another sha256 than deploy/packages-unpacked.txt" "do not use it; check the mirror"
  fi
  rm -rf "$target"
  mkdir -p "$target"
  dpkg-deb -x "$file" "$target" >> "$LOG" 2>&1 || fail "cannot unpack $file" "free some disk in $target"
  printf '%s\n' "$line" > "$target/.version"
  rm -rf "$work"
}
