#!/usr/bin/env bash
# ASan+UBSan over everything that does not link Torch; TSan over what gRPC's uninstrumented library does not touch.
# No suppression files. Needs what tests/run.sh has installed.
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"

sanitize() {
  local preset=$1 label=$2
  logged "$preset configure" cmake --preset "$preset"
  logged "$preset build" cmake --build "build/$preset" --target "tests-$label"
  logged "$preset tests" ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -L "$label"
}
export ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=ignore_noninstrumented_modules=1
sanitize asan unit
sanitize tsan tsan
