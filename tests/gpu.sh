#!/usr/bin/env bash
# What tests/run.sh cannot show: installs and builds, then runs the tests that need an NVIDIA GPU, and measures the
# speed of training on it beside PyTorch. Usage: tests/gpu.sh [-R REGEX] (as ctest's)
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"

build=build/release
./deploy/setup.sh --tests
logged "configure" cmake --preset release
logged "build" cmake --build $build
ctest --test-dir $build --output-on-failure -L gpu "$@"
tests/bench/train_speed.sh --cuda
