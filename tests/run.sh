#!/usr/bin/env bash
# Installs what is missing, builds everything, runs every test. Usage: tests/run.sh [-R REGEX] (as ctest's)
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"

build=build/release
./deploy/setup.sh --tests
logged "configure" cmake --preset release
logged "build programs" cmake --build $build --target cherry cherry-coordinator cherry-worker cherry-trainer
logged "build tests" cmake --build $build
logged "format" ./tests/format.sh

# Unit tests share the cores; tests with real processes get the machine to themselves.
start=$(date +%s)
total=0
failed=0
run() {
  local log=$CHERRY_LOGS/ctest-$1.log
  shift
  ctest --test-dir $build --output-on-failure --no-tests=ignore "$@" 2>&1 | tee "$log" | grep -vE '^ +Start |^Test project' || true
  local summary
  summary=$(grep -oE '[0-9]+ tests failed out of [0-9]+' "$log" || true)
  [ -n "$summary" ] || return 0
  failed=$((failed + $(echo "$summary" | awk '{print $1}')))
  total=$((total + $(echo "$summary" | awk '{print $6}')))
}
run unit -L unit -j2 "$@"
run rest -LE '^(unit|gpu)$' "$@"
printf '%-28s %6d s\n' "tests" "$(($(date +%s) - start))"
printf '%d passed, %d failed\n' "$((total - failed))" "$failed"
[ "$failed" -eq 0 ] && [ "$total" -gt 0 ]
