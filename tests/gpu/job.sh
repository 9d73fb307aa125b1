#!/usr/bin/env bash
# A cluster on a host with a GPU: a job lands on it without being asked to, is watched, killed, goes on, and its
# checkpoint speaks. Usage: job.sh BIN_DIRECTORY
set -uo pipefail
export PATH=$1:$PATH
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((20000 + RANDOM % 10000))
export CHERRY_COORDINATOR=127.0.0.1:$port
trap 'cherry local stop > /dev/null 2>&1; rm -rf "$work"' EXIT
source "$(dirname "$0")/../checks.sh"

for i in $(seq 400); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
    > "$work/$i.txt"
done
job() {
  cat > "$work/$1.yaml" <<END
kind: pretrain
name: $1
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: $2, sequence_length: 64, global_batch_size: 16, micro_batch_size: 8}
checkpoint: {every_steps: 50}
END
}

cherry local start --port "$port" > "$work/start.log" 2>&1 || { cat "$work/start.log"; exit 1; }
check 'the worker offers the GPU' has 'cuda' "$(cat "$work/start.log")"
cherry data prepare --name ko --vocab 400 --valid-share 0.2 "$work"/*.txt > "$work/prepare.log" 2>&1 ||
  { cat "$work/prepare.log"; exit 1; }
job first 100
check 'a job succeeds' cherry submit "$work/first.yaml" --wait --timeout 120s
check 'it ran on the GPU' has 'computes on NVIDIA' "$(cherry logs first)"
check 'its slot names the GPU' has 'gpu_uuid="GPU-' "$(curl -s "$(sed -nE 's/^worker .*(http[^ ]+)/\1/p' "$work/start.log")")"
check 'its checkpoint is sound' cherry checkpoint verify first
check 'it speaks' cherry generate first --prompt 'This is' --max-tokens 8

job second 1000
check 'another job is taken' cherry submit "$work/second.yaml"
cherry watch second > "$work/watch.log" 2>&1 &
watch=$!
until grep -q 'step  *[1-9][0-9][0-9]' "$work/watch.log" || ! kill -0 $watch 2> /dev/null; do read -rt 0.1 <> <(:); done
check 'its rank is killed' pkill -KILL -f "$1/cherry-trainer"
check 'and it goes on to its end' cherry watch second --timeout 180s
check 'in a second attempt' has 'attempt|2' "$(cherry describe job second)"
check 'nothing is left on the GPU' bash -c '! pgrep -x cherry-trainer'
exit $failed
