#!/usr/bin/env bash
# A pipeline on a real cluster: two seeds by a matrix, a child of each, through a restart of the coordinator; then one
# whose first job fails. Usage: pipeline.sh BIN_DIRECTORY
set -uo pipefail
bin=$1
export PATH=$bin:$PATH
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((25000 + RANDOM % 2500 * 2))
export CHERRY_COORDINATOR=127.0.0.1:$port
trap 'cherry local stop > /dev/null 2>&1; rm -rf "$work"' EXIT
source "$(dirname "$0")/../checks.sh"

mkdir "$work/text"
for i in $(seq 60); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
    > "$work/text/$i.txt"
done
cherry local start --slots 2 --port $port > "$work/start.log" 2>&1 || { cat "$work/start.log"; exit 1; }
cherry data prepare --name ko --vocab 400 --valid-share 0.2 "$work/text" > "$work/prepare.log" 2>&1 || { cat "$work/prepare.log"; exit 1; }

cat > "$work/grid.yaml" <<'END'
kind: sgt
name: tuned
from: {job: base}
sgt: {selector: random, budget: 0.5}
train: {steps: 3, sequence_length: 32, global_batch_size: 8}
matrix: {train.seed: [1, 2]}
---
kind: pretrain
name: base
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: 40, sequence_length: 32, global_batch_size: 8}
checkpoint: {every_steps: 20}
matrix: {train.seed: [1, 2], max_parallel: 1}
END

check 'a dry run shows every plan' [ "$(cherry submit "$work/grid.yaml" --dry-run | grep -c '^job ')" = 4 ]
check 'and starts nothing' [ -z "$(cherry get jobs -o name)" ]
check 'it is submitted' cherry submit "$work/grid.yaml"
check 'its name means its jobs' [ "$(cherry get jobs grid -o name | sort | tr '\n' ' ')" = 'base-1 base-2 tuned-1 tuned-2 ' ]
check 'a child says what it waits for' has 'input: waits for base-2' "$(cherry explain grid)"
kill -9 "$(grep -oE '"coordinator": *[0-9]+' "$CHERRY_HOME/local.state" | grep -oE '[0-9]+')"
check 'all succeed, through the death of the coordinator' cherry watch grid --timeout 300s
check 'each child started from its own parent' has 'tuned-2' "$(cherry get jobs grid --timeout 30s | grep SUCCEEDED)"
check 'which its spec names' has 'from: \{job: base-2\}' "$(cherry get job tuned-2 -o spec)"

sed -e 's/^name: tuned/name: late/; s/job: base/job: broken/; s/^name: base/name: broken/; /^matrix/d' \
  -e 's/^checkpoint:.*/limits: {retries: 0}/' "$work/grid.yaml" > "$work/broken.yaml"
truncate -s -100 "$CHERRY_HOME/data/ko/train.bin"
check 'a failure ends what waits for it, with exit code 1' \
  bash -c "cherry submit '$work/broken.yaml' --wait --timeout 120s > '$work/broken.log' 2>&1; [ \$? = 1 ]"
check 'and is named as the cause' has 'late FAILED: it waited for broken, and broken is FAILED: .*train.bin' "$(cat "$work/broken.log")"
exit $failed
