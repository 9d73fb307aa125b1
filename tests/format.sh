#!/usr/bin/env bash
# Fails on the first C++ file that clang-format would change; --fix changes them.
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"
mode="--dry-run --Werror"
[ "${1:-}" = "--fix" ] && mode="-i"
git ls-files '*.cc' '*.h' | xargs clang-format $mode
