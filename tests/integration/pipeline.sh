#!/usr/bin/env bash
# Pipelines on a real cluster: two seeds by a matrix, a child of each, through a restart of the coordinator; the chain of
# all kinds to an evaluation and its report; one whose first job fails. Usage: pipeline.sh BIN_DIRECTORY
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

cat > "$work/chain.yaml" <<'END'
kind: compress
name: small
from: {job: base-1}
compress: {layers: 2, method: first, unroll: {schedule: "1x2 + 1"}}
train: {steps: 4, sequence_length: 32, global_batch_size: 8}
---
kind: pretrain
name: expert
from: {job: small}
data: {train: ko/train, valid: ko/valid}
train: {steps: 4, sequence_length: 32, global_batch_size: 8}
matrix: {train.seed: [1, 2]}
---
kind: fuse
name: both
experts: [{job: expert-1}, {job: expert-2}]
multi_token: {depth: 1}
resources: {ranks: 2}
train: {steps: 6, sequence_length: 32, global_batch_size: 8}
---
kind: evaluate
name: verdict
resources: {ranks: 2}
evaluate:
  baseline: {job: base-1}
  models: [{job: both}, {job: expert}]
  measures: [loss, recovery, parameters, speed, acceptance]
  criteria:
    - {claim: "fused <b>is</b> no worse than 9 nats", measure: loss, model: both, below: 9}
    - {claim: an expert is better than 0 nats, measure: loss, model: expert, below: 0}
train: {sequence_length: 32, global_batch_size: 8}
END
check 'the plan of a mixture tells what is active' has 'active' "$(cherry submit "$work/chain.yaml" --dry-run)"
check 'a chain of all kinds succeeds' cherry submit "$work/chain.yaml" --wait --timeout 300s
described=$(cherry describe job verdict)
check 'the evaluation names its models' has 'expert-2 ' "$described"
check 'a criterion holds' has 'holds .*fused <b>is</b> no worse' "$described"
check 'another fails' has 'fails .*an expert is better than 0 nats' "$described"
check 'drafts do not change the text' [ "$(cherry generate both --prompt 파일 --temperature 0 --max-tokens 20 --speculative 2> "$work/drafts")" = \
  "$(cherry generate both --prompt 파일 --temperature 0 --max-tokens 20)" ]
check 'and tell how many were right' has 'of the drafts .* were said' "$(cat "$work/drafts")"
check 'a mixture is exported with its code' has modeling_cherry.py "$(cherry checkpoint export both --output "$work/hf")"
check 'the report is written' cherry report chain --output "$work/chain.html"
check 'as well-formed text' /usr/bin/python3 -c "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])" "$work/chain.html"
check 'with its verdicts, escaped' has 'fused &lt;b&gt;is&lt;/b&gt; no worse' "$(cat "$work/chain.html")"

sed -e 's/^name: tuned/name: late/; s/job: base/job: broken/; s/^name: base/name: broken/; /^matrix/d' \
  -e 's/^checkpoint:.*/limits: {retries: 0}/' "$work/grid.yaml" > "$work/broken.yaml"
truncate -s -100 "$CHERRY_HOME/data/ko/train.bin"
check 'a failure ends what waits for it, with exit code 1' \
  bash -c "cherry submit '$work/broken.yaml' --wait --timeout 120s > '$work/broken.log' 2>&1; [ \$? = 1 ]"
check 'and is named as the cause' has 'late FAILED: it waited for broken, and broken is FAILED: .*train.bin' "$(cat "$work/broken.log")"
exit $failed
