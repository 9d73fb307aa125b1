#!/usr/bin/env bash
# Builds the programs and packs them for Debian 12: cherry-client, cherry-coordinator, cherry-worker.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: deploy/package.sh [--release N] [--output DIR] [--quiet]

Builds the four programs in build/release and leaves three Debian packages in DIR. Needs deploy/setup.sh, and with
CUDA's wheels (setup.sh --cuda) the worker's package also has libcherry_cuda.so, for hosts with GPUs. docs/debian.md
tells how the packages are used.

  --release N   Debian revision (default: 1)
  --output DIR  where the packages go (default: build/packages)
  --quiet       say nothing but warnings and errors
END
}

RELEASE=1 OUTPUT=$CHERRY_ROOT/build/packages
while [ $# -gt 0 ]; do
  case $1 in
    --release) RELEASE=${2:?--release wants a number}; shift ;;
    --output) OUTPUT=$(realpath -m "${2:?--output wants a directory}"); shift ;;
    --quiet) CHERRY_QUIET=1 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
BUILD=$CHERRY_ROOT/build/release
MADE=$BUILD/packaging

check_tools() {
  local tool
  if ! [[ $RELEASE =~ ^[0-9][0-9a-z.+~]*$ ]]; then fail "--release: '$RELEASE' is no Debian revision" "give for example 2"; fi
  for tool in dpkg-shlibdeps help2man; do
    if [ ! -x "$(type -P $tool)" ]; then fail "$tool is not there" "apt-get install dpkg-dev help2man"; fi
  done
  DID="revision $RELEASE"
}

build() {
  LOG=$MADE/build.log
  mkdir -p "$MADE"
  cd "$CHERRY_ROOT"
  cmake --preset release "-DCHERRY_PACKAGE_RELEASE=$RELEASE" > "$LOG" 2>&1 ||
    fail "cmake failed" "run deploy/setup.sh, then this script again"
  cmake --build "$BUILD" --target cherry-packaging >> "$LOG" 2>&1 ||
    fail "the build failed" "read the log above the error; 'rm -r $BUILD' starts afresh"
  DID="4 programs$(if [ -e "$BUILD/bin/libcherry_cuda.so" ]; then echo ", libcherry_cuda.so"; fi)"
}

pack() {
  LOG=$MADE/cpack.log
  rm -f "$MADE"/*.deb
  (cd "$BUILD" && cpack --config CPackConfig.cmake) > "$LOG" 2>&1 || fail "cpack failed" "read the log"
  mkdir -p "$OUTPUT"
  rm -f "$OUTPUT"/cherry-{client,coordinator,worker}_*.deb   # of other revisions
  mv "$MADE"/*.deb "$OUTPUT"
  rm -rf "$MADE/_CPack_Packages"
  DID=$(cd "$OUTPUT" && du -h --apparent-size -- *-"${RELEASE}"_amd64.deb | awk '{printf "%s%s %s", sep, $2, $1; sep = ", "}')
}

phase 'tools' check_tools
phase 'build' build
phase 'packages' pack
