#!/usr/bin/env bash
# The coordinator under load: durable submits per second and their latencies through the API and through the
# CLI, and the time from kill -9 to serving again with 10,000 jobs. Prints the disk's floor beside them.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$PWD/build/release/bin
bench=$PWD/build/release/test-bin/cherry-bench-control
jobs=${1:-10000}
home=$(mktemp -d "$PWD/build/bench-XXXXXX")
port=7470
address=127.0.0.1:$port
export CHERRY_HOME=$home CHERRY_COORDINATOR=$address
pid=
trap 'kill -9 $pid 2> /dev/null || true; rm -rf "$home"' EXIT
start() {
  "$bin/cherry-coordinator" --home "$home" --listen $address --metrics-address 127.0.0.1:$((port + 1)) \
    > "$home/coordinator.log" 2>&1 &
  pid=$!
}

mkdir -p "$home/data/bench"
truncate -s 2000000 "$home/data/bench/train.bin" "$home/data/bench/valid.bin"  # Of the registered lengths.
"$bench" fsync "$home/floor" 300
start
until [ -s "$home/token" ]; do
  kill -0 $pid || { cat "$home/coordinator.log"; exit 1; }
  read -rt 0.1 <> <(:) || true
done
"$bench" dataset $address "$home/token"
"$bench" submit $address "$home/token" 500 1 one-
"$bench" submit $address "$home/token" $((jobs - 500)) 32 many-

cat > "$home/job.yaml" <<END
kind: pretrain
generate_name: cli-
model: {preset: tiny}
data: {train: bench/train, valid: bench/valid}
END
for _ in $(seq 100); do
  begin=$EPOCHREALTIME
  "$bin/cherry" submit "$home/job.yaml" > /dev/null
  end=$EPOCHREALTIME
  echo $(((${end/./} - ${begin/./}) / 10))
done | sort -n | awk '{v[NR] = $1 / 100} END {printf "through the CLI, process start included: p50 %.1f ms, p99 %.1f ms\n", v[int(NR / 2)], v[int(NR * 0.99)]}'

for _ in 1 2 3; do
  kill -9 $pid
  wait $pid 2> /dev/null || true
  start
  "$bench" serving $address "$home/token" "many-$((jobs - 501))"
done
echo "jobs kept: $("$bin/cherry" get jobs -o name | wc -l)"
