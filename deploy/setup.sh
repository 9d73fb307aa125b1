#!/usr/bin/env bash
# Installs everything Cherry builds with, pinned by version and hash, on Debian 12 (x86_64).
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: deploy/setup.sh [--quickstart] [--cuda] [--tests] [--quiet]

Installs Debian packages (needs root, or sudo), and beneath $CHERRY_DEPS (~/.cache/cherry/deps)
LibTorch and the crates of the tokenizer. Safe to repeat: what is there is left as it is.

  --quickstart  also what deploy/quickstart.sh uses: Prometheus, a reader of HTML
  --cuda        also CUDA's libraries, headers and compiler, for hosts with GPUs (4.5 GB)
  --tests       all of the above, and what tests/ uses: PyTorch's Python side, clang's tools
  --quiet       say nothing but warnings and errors
END
}

QUICKSTART=0 CUDA=0 TESTS=0
for argument in "$@"; do
  case $argument in
    --quickstart) QUICKSTART=1 ;;
    --cuda) CUDA=1 ;;
    --tests) QUICKSTART=1 CUDA=1 TESTS=1 ;;
    --quiet) CHERRY_QUIET=1 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

SITE=$CHERRY_DEPS/site
STAMPS=$CHERRY_DEPS/stamps
LOGS=$CHERRY_DEPS/logs
PYTHON=/usr/bin/python3   # another python3 may stand first on PATH, with another pip configuration
SUDO=
if [ "$(id -u)" != 0 ]; then SUDO=sudo; fi

check_host() {
  local id version
  # shellcheck source=/dev/null
  id=$(. /etc/os-release && echo "$ID") version=$(. /etc/os-release && echo "${VERSION_ID:-}")
  if [ "$id $version $(uname -m)" != "debian 12 x86_64" ]; then
    fail "this is $id $version on $(uname -m)" "use Debian 12 (bookworm) on x86_64; a container of it will do"
  fi
  DID="Debian 12, $(nproc) cores, dependencies in $CHERRY_DEPS"
}

# ---- Debian packages ----

# Names from the lists that are absent or of another series, as name=wanted lines.
missing_packages() {
  declare -A have
  local name version wanted
  while IFS=' ' read -r name version; do have[$name]=$version; done < <(
    dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' 2>> "$LOG" |
      awk '$1 == "ii" {print $2, $3}')
  while IFS='=' read -r name wanted; do
    version=${have[$name]:-}
    if [ -z "$version" ]; then
      echo "$name=$wanted"
    elif [ "$wanted" != '*' ] && [ "$version" != "$wanted" ] &&
      [ "$(series "$version")" != "$(series "$wanted")" ]; then
      echo "$name=$wanted"
    fi
  done < <(list_lines "$@")
}

show_apt_progress() {
  local kind percent text rest
  while IFS=: read -r kind rest percent text; do
    case $kind in dlstatus | pmstatus) if draws_progress; then bar "${percent%.*}" "$kind ${text:-}"; fi ;; esac
  done
}

# apt_get ARGUMENTS...: as root, without questions, waiting for another apt to finish.
apt_get() {
  local command=(env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120)
  if [ -n "$SUDO" ]; then   # sudo closes the descriptor that progress comes through
    sudo "${command[@]}" "$@" >> "$LOG" 2>&1
  else
    "${command[@]}" -o APT::Status-Fd=3 "$@" 3> >(show_apt_progress) >> "$LOG" 2>&1
  fi
}

install_packages() {
  local lists=("$CHERRY_ROOT/deploy/packages.txt") missing entry name chosen=() version
  LOG=$LOGS/apt.log
  : > "$LOG"
  if [ $QUICKSTART = 1 ]; then lists+=("$CHERRY_ROOT/deploy/packages-quickstart.txt"); fi
  if [ $TESTS = 1 ]; then lists+=("$CHERRY_ROOT/deploy/packages-tests.txt"); fi
  missing=$(missing_packages "${lists[@]}")
  DID="$(list_lines "${lists[@]}" | wc -l) packages, all there"
  if [ -z "$missing" ]; then return; fi
  if [ -n "$SUDO" ] && [ ! -x "$(type -P sudo)" ]; then
    fail "needs root to install: $(tr '\n' ' ' <<< "$missing")" "run deploy/setup.sh as root, or install sudo"
  fi
  apt_get update || warn "apt-get update reported errors: see $LOG"
  for entry in $missing; do
    name=${entry%%=*} version=${entry#*=}
    if [ "$version" = '*' ]; then chosen+=("$name"); continue; fi
    version=$(pick_version "$name" "$version") ||
      fail "$entry is not on the mirror, nor another revision of it" \
        "put a version that 'apt-cache madison $name' lists in deploy/packages*.txt"
    chosen+=("$name=$version")
  done
  apt_get install -y --no-install-recommends "${chosen[@]}" ||
    fail "apt-get install failed" "run 'apt-get -f install' as root, then deploy/setup.sh again"
  DID="${#chosen[@]} installed"
}

# ---- wheels ----

# Removes the files of an earlier version of a wheel, by the list the wheel brought.
remove_wheel() {
  local record
  find "$SITE" -mindepth 2 -maxdepth 2 -ipath "*/${1//-/_}-*.dist-info/RECORD" | while read -r record; do
    (cd "$SITE" && cut -d, -f1 "$record" | tr '\n' '\0' | xargs -0 rm -f)
  done
}

# fetch_wheel ENTRY: downloads, checks and unpacks one wheel, then prints its name. Runs in processes
# of its own, several at once.
fetch_wheel() {
  local entry=$1 name=${1%%==*} work
  work=$(mktemp -d "$CHERRY_DEPS/fetch/XXXXXX")
  printf '%s\n' "$entry" > "$work/requirements.txt"
  TMPDIR=$work "$PYTHON" -m pip download --quiet --disable-pip-version-check --no-cache-dir --no-deps \
    --require-hashes --only-binary=:all: --implementation cp --python-version 3.11 \
    --dest "$work" --requirement "$work/requirements.txt" >&2
  remove_wheel "$name"
  unzip -q -o "$work"/*.whl -d "$SITE"
  rm -rf "$work"
  printf '%s\n' "$entry" > "$STAMPS/wheel-$name"
  printf '%s\n' "$name"
}

missing_wheels() {
  local entry
  list_lines "$@" | while read -r entry; do
    if [ "$(cat "$STAMPS/wheel-${entry%%==*}" 2> /dev/null)" != "$entry" ]; then echo "$entry"; fi
  done
}

show_wheel_progress() {
  local total=$1 finished=0 name
  if draws_progress; then bar 0 "0 of $total"; fi
  while read -r name; do
    finished=$((finished + 1))
    if draws_progress; then bar $((finished * 100 / total)) "$finished of $total: $name"; fi
  done
}

install_wheels() {
  local lists=("$CHERRY_ROOT/deploy/wheels.txt") missing total
  LOG=$LOGS/wheels.log
  : > "$LOG"
  if [ $CUDA = 1 ]; then lists+=("$CHERRY_ROOT/deploy/wheels-cuda.txt"); fi
  if [ $TESTS = 1 ]; then lists+=("$CHERRY_ROOT/deploy/wheels-tests.txt"); fi
  missing=$(missing_wheels "${lists[@]}")
  DID="$(list_lines "${lists[@]}" | wc -l) wheels, all there"
  if [ -n "$missing" ]; then
    total=$(wc -l <<< "$missing")
    rm -rf "$CHERRY_DEPS/fetch"
    mkdir -p "$CHERRY_DEPS/fetch" "$SITE"
    export -f fetch_wheel remove_wheel
    export SITE STAMPS PYTHON CHERRY_DEPS
    xargs -P 3 -d '\n' -n 1 bash -c 'set -eu; fetch_wheel "$1"' fetch_wheel <<< "$missing" 2>> "$LOG" |
      show_wheel_progress "$total" ||
      fail "a wheel could not be fetched or unpacked" \
        "check the network, pip's index and 'df -h $CHERRY_DEPS', then run deploy/setup.sh again"
    rm -rf "$CHERRY_DEPS/fetch"
    DID="$total unpacked"
    check_libraries
  fi
  if [ ! -e "$SITE/torch/lib/libtorch_cpu.so" ]; then
    fail "$SITE/torch/lib/libtorch_cpu.so is gone" "rm -r $STAMPS, then run deploy/setup.sh again"
  fi
}

# LibTorch finds the other wheels' libraries by paths relative to its own.
check_libraries() {
  local libraries=("$SITE/torch/lib/libtorch_cpu.so") library
  if [ $CUDA = 1 ]; then libraries+=("$SITE/torch/lib/libtorch_cuda.so"); fi
  for library in "${libraries[@]}"; do
    if ldd "$library" | tee -a "$LOG" | grep -q 'not found'; then
      fail "$library lacks a library" "rm -r $STAMPS, then run deploy/setup.sh again"
    fi
  done
  chmod -f u+x "$SITE"/nvidia/cu13/bin/* "$SITE"/nvidia/cu13/nvvm/bin/* 2>> "$LOG" || true
}

# ---- the tokenizer's crates, and Prometheus ----

fetch_crates() {
  local lock=$CHERRY_ROOT/client/tokenizer/Cargo.lock stamp=$STAMPS/crates hash config=()
  LOG=$LOGS/crates.log
  hash=$(sha256sum < "$lock")
  DID="$(grep -c '^source = ' "$lock") crates"
  if [ "$(cat "$stamp" 2> /dev/null)" = "$hash" ]; then DID+=", all there"; return; fi
  if [ -f "$HOME/.cargo/config.toml" ]; then config=(--config "$HOME/.cargo/config.toml"); fi
  CARGO_HOME=$CHERRY_DEPS/cargo RUSTC=/usr/bin/rustc /usr/bin/cargo "${config[@]}" fetch --locked \
    --target x86_64-unknown-linux-gnu --manifest-path "${lock%.lock}.toml" > "$LOG" 2>&1 ||
    fail "cargo fetch failed" "check the network and cargo's registry, then run deploy/setup.sh again"
  printf '%s\n' "$hash" > "$stamp"
}

unpack_prometheus() {
  LOG=$LOGS/prometheus.log
  : > "$LOG"
  unpack_deb prometheus "$CHERRY_DEPS/prometheus"
  mkdir -p "$CHERRY_DEPS/bin"
  ln -sf ../prometheus/usr/bin/prometheus ../prometheus/usr/bin/promtool "$CHERRY_DEPS/bin/"
  DID=$CHERRY_DEPS/bin/prometheus
}

main() {
  local start=$EPOCHREALTIME
  mkdir -p "$STAMPS" "$LOGS"
  exec 9> "$CHERRY_DEPS/.lock"
  flock 9   # one set-up at a time; another waits and then finds all there
  phase 'host' check_host
  phase 'Debian packages' install_packages
  phase 'wheels' install_wheels
  phase 'crates' fetch_crates
  if [ $QUICKSTART = 1 ]; then phase 'Prometheus' unpack_prometheus; fi
  if [ "$CHERRY_QUIET" != 1 ]; then printf '%-22s %7.1f s\n' 'set up' "$(seconds_since "$start")"; fi
}

main
