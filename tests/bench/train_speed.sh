#!/usr/bin/env bash
# Training speed against PyTorch eager and torch.compile, interleaved in one run: a table on standard output.
# Needs a build with CHERRY_TESTS=ON and the Python side of LibTorch's wheel (deploy/setup.sh --tests).
#
#   tests/bench/train_speed.sh [BUILD_FOLDER] [--size 1.4M|9M|34M] [--rounds N] [--threads N]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/release
if [[ $# -gt 0 && $1 != --* ]]; then
  build=$1
  shift
fi
cmake --build "$build" --target cherry-bench-train >&2
export PYTHONPATH="${CHERRY_DEPS:-$HOME/.cache/cherry/deps}/site" PYTHONDONTWRITEBYTECODE=1
exec /usr/bin/python3 tests/bench/train_speed.py --ours "$build/test-bin/cherry-bench-train" "$@"
