#!/usr/bin/env bash
# Steps of selective training (budget 0.15) against steps on all tokens, interleaved in one run, at three sizes.
#
#   tests/bench/selected_rows.sh [--size 1.4M|9M|34M] [--steps N] [--threads N]
set -euo pipefail
cd "$(dirname "$0")/../.."
cmake --build build/release --target cherry-bench-rows >&2
exec build/release/test-bin/cherry-bench-rows "$@"
