#!/usr/bin/env bash
# What each program may know: fails when one links, or a folder includes, what it must not.
# Usage: tests/boundaries.sh BIN_DIRECTORY
set -euo pipefail
cd "$(dirname "$0")/.."
bin=$1
bad=0

must_not_link() {
  local program=$1 pattern=$2 found
  found=$(ldd "$bin/$program" | grep -E "$pattern" || true)
  if [ -n "$found" ]; then
    echo "$program links: $found"
    bad=1
  fi
}
must_not_include() {
  local folder=$1 pattern=$2 found
  found=$(grep -rnE "^ *# *include *[<\"]($pattern)" --include='*.h' --include='*.cc' "$folder" || true)
  if [ -n "$found" ]; then
    echo "$folder includes what it must not:"
    echo "$found"
    bad=1
  fi
}
for program in cherry cherry-coordinator cherry-worker; do
  must_not_link $program 'libtorch|libc10|libnccl|libcuda'
done
must_not_link cherry 'librocksdb'
must_not_link cherry-worker 'librocksdb'
must_not_link cherry-trainer 'libgrpc|librocksdb'
must_not_include coordinator/core \
  'grpc|rocksdb|thread|mutex|condition_variable|future|atomic|chrono|ctime|time\.h|random|fstream|iostream|cstdio|stdio|filesystem|unistd|fcntl|sys/|absl/time/clock|absl/random|absl/synchronization|common/file|common/clock|common/log|spdlog'
must_not_include coordinator 'torch|ATen|c10|nccl'
must_not_include worker/agent 'torch|ATen|c10|nccl|rocksdb'
must_not_include client 'torch|ATen|c10|nccl|rocksdb'
for folder in model kernels methods optim parallel data checkpoint trainer; do
  must_not_include worker/$folder 'grpc|rocksdb|prometheus'
done
must_not_include common 'grpc|rocksdb|torch|ATen|c10'
if find . -path ./build -prune -o \( -iname '*suppress*' -o -name '*.supp' \) -print | grep .; then
  echo 'a suppression file: sanitizer reports are fixed, not hidden'
  bad=1
fi
exit $bad
