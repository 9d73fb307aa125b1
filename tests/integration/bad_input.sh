#!/usr/bin/env bash
# Bad input, as a user gives it: each is refused with the field, the value and the remedy, starts nothing and
# loses nothing. Usage: bad_input.sh BIN_DIRECTORY
set -uo pipefail
bin=$1
export PATH=$bin:$PATH
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((30000 + RANDOM % 10000 / 10 * 10))
export CHERRY_COORDINATOR=127.0.0.1:$port
passed=0 failed=0
cleanup() {
  cherry local stop > /dev/null 2>&1
  mountpoint -q "$work/full" && umount "$work/full"
  rm -rf "$work"
}
trap cleanup EXIT

# refused EXIT_CODE TEXT... -- COMMAND...: it exits with that code and its output has every text.
refused() {
  local want=$1 texts=() output flat code text ok=1
  shift
  while [ "$1" != -- ]; do texts+=("$1"); shift; done
  shift
  output=$("$@" 2>&1)
  code=$?
  [ "$code" = "$want" ] || ok=0
  # Long lines are wrapped.
  flat=$(tr -s '[:space:]' ' ' <<< "$output")
  for text in "${texts[@]}"; do [[ $flat == *"$text"* ]] || ok=0; done
  # An error is three lines at most.
  [ "$(grep -c . <<< "$output")" -le 3 ] || [ "$want" = 0 ] || ok=0
  if [ $ok = 1 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'NOT AS EXPECTED: %s\n  exit %s, wanted %s; wanted text: %s\n%s\n' "$*" "$code" "$want" "${texts[*]}" \
      "$(sed 's/^/  | /' <<< "$output")"
  fi
}
# with LINE...: a job file made of the minimal job and these lines.
with() {
  printf '%s\n' 'kind: pretrain' 'name: bad' 'model: {preset: tiny}' 'data: {train: ko/train, valid: ko/valid}' "$@" \
    > "$work/job.yaml"
}
# without KEY LINE...: the same with a key's line replaced.
without() {
  local keys=$1 key
  shift
  with "$@"
  for key in ${keys//,/ }; do sed -i "0,/^$key:/{/^$key:/d}" "$work/job.yaml"; done
}
submit() { cherry submit "$work/job.yaml" "$@"; }

refused 3 "127.0.0.1:$port" -- cherry --timeout 2s get jobs

mkdir -p "$work/text"
for i in $(seq 60); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
    > "$work/text/$i.txt"
done
cherry local start --slots 2 --port $port > "$work/start.log" 2>&1 || { cat "$work/start.log"; exit 1; }
cherry data prepare --name ko --vocab 400 --valid-share 0.2 "$work/text" > "$work/prepare.log" 2>&1 || { cat "$work/prepare.log"; exit 1; }

# The job file.
with 'trian: {steps: 3}';                          refused 2 'trian' 'train' 'job.yaml' -- submit
with 'train: {lr: 1e-3}';                          refused 2 'train.lr' 'learning_rate' -- submit
with 'train: {steps: many}';                       refused 2 'train.steps' 'many' -- submit
with 'train: {steps: 0}';                          refused 2 'train.steps' '0' '1..' -- submit
with 'train: {steps: 1.5}';                        refused 2 'train.steps' '1.5' -- submit
with 'train: {dtype: fp8}';                        refused 2 'train.dtype' 'fp8' -- submit
with 'resources: {ranks: 2}' 'train: {global_batch_size: 10, micro_batch_size: 4}'
refused 2 'train.global_batch_size: 10' '= 8' 'use 8 or 16' -- submit
without model 'model: {preset: tinny}';            refused 4 'model.preset' 'tinny' 'tiny' -- submit
without model 'model: {preset: tiny, vocab: 100}'; refused 2 'model.vocab: 100' 'smaller' -- submit
without data 'data: {train: en/train, valid: ko/valid}'; refused 4 'data.train' 'en' -- submit
without data 'data: {train: ko/tran, valid: ko/valid}';  refused 4 'data.train' 'tran' 'ko/train' -- submit
without data 'data: {train: ../../etc/passwd, valid: ko/valid}'; refused 2 'data.train' 'passwd' -- submit
without name 'name: ../../x';                      refused 2 'name' '../../x' -- submit
without kind 'kind: pretain';                      refused 2 'kind' 'pretain' 'pretrain' -- submit
without kind 'kind: sgt';                          refused 2 'from' 'ko-base' -- submit
without kind,model 'kind: fuse';                   refused 2 'experts' '0 is not in 2..8' -- submit
without kind 'kind: fuse' 'experts: [{job: a}, {job: b}]'; refused 2 'model' 'follows from' -- submit
without kind,model 'kind: fuse' 'experts: [{job: a}, {job: b}]'; refused 4 'experts[0].job' "'a'" -- submit
without kind,model 'kind: evaluate';               refused 2 'evaluate.baseline' -- submit
without kind,model 'kind: evaluate' 'evaluate: {baseline: {job: a}}'; refused 2 'evaluate.models' -- submit
without kind,model 'kind: evaluate' 'evaluate: {baseline: {job: a}, models: [{job: a}], criteria: [{claim: x, measure: loss, model: a}]}'
refused 2 'evaluate.criteria[0]' 'above' -- submit
with 'multi_token: {depth: 9}';                    refused 2 'multi_token.depth' '9' '0..8' -- submit
with 'multi_token: {depth: 2, form: heads}';       refused 2 'multi_token.form' 'heads' 'chain' -- submit
with 'fuse: {top_k: 2}';                           refused 2 'fuse' 'pretrain' -- submit
without model 'model: {preset: tiny, experts: 1}'; refused 2 'model.experts' '1' '2..64' -- submit
without model 'model: {preset: tiny, experts: 4, top_k: 5}'; refused 2 'model.top_k' '5' -- submit
without model 'model: {preset: tiny, token_chain: true}';    refused 2 'model.token_chain' 'unknown' -- submit
without data 'data: {train: ko/train + ko/train, valid: ko/valid}'; refused 2 'data.train' 'twice' -- submit
printf 'kind: [unclosed\n' > "$work/job.yaml";     refused 2 'job.yaml' -- submit
{ with 'from: {job: other}'; echo ---; sed 's/^name: bad/name: other/; s/job: other/job: bad/' "$work/job.yaml"; } > "$work/two"
cat "$work/job.yaml" "$work/two" > "$work/cycle.yaml"
refused 2 'cycle.yaml: from: bad -> other -> bad' -- cherry submit "$work/cycle.yaml"
with 'matrix: {train.sead: [1, 2]}';               refused 2 'matrix.train.sead' 'seed' 'job.yaml' -- submit
with 'matrix: {train.steps: [2, 0]}';              refused 2 'bad-0: train.steps' '0' '1..' 'job.yaml' -- submit
refused 2 'absent.yaml' -- cherry submit "$work/absent.yaml"
with 'from: {job: nobody}';                        refused 4 'from' 'nobody' -- submit
refused 2 'resources.nodes' -- bash -c "cherry submit '$work/job.yaml' --set resources.nodes=2"

# Nothing of all that has started anything.
[ -z "$(cherry get jobs -o name)" ] || { failed=$((failed + 1)); echo 'NOT AS EXPECTED: a refused job exists'; }

# More ranks than could ever fit: accepted, and it says why it waits.
without name 'name: big' 'resources: {ranks: 16}' 'train: {global_batch_size: 64}'
refused 0 'big' -- submit
refused 0 'PENDING' '16' '14 more slots' -- cherry explain big
# Its name is taken while it lives; a request id means one spec.
refused 2 'big' 'name' -- submit
without name 'name: first' 'resources: {ranks: 16}' 'train: {global_batch_size: 64}'
id=11111111-2222-4333-8444-555555555555
refused 0 'first' -- submit --request-id $id
refused 0 'first' -- submit --request-id $id
refused 2 'request' -- submit --request-id $id --set train.steps=7
[ "$(cherry get jobs -o name | wc -l)" = 2 ] || { failed=$((failed + 1)); echo 'NOT AS EXPECTED: not two jobs'; }
refused 0 '' -- cherry cancel big first

refused 4 'nobody' -- cherry describe job nobody
refused 4 'nobody' -- cherry cancel nobody
refused 2 'port' "$port" -- cherry --home "$work/other" local start --port $port
refused 2 'ko' '--force' -- cherry data prepare --name ko --vocab 400 "$work/text"
printf 'fine\n\xff\xfe\n' > "$work/broken.txt"
refused 2 'broken.txt' 'UTF-8' -- cherry data prepare --name broken --vocab 400 "$work/broken.txt"
refused 2 '../x' -- cherry data prepare --name ../x --vocab 400 "$work/text"
refused 2 'rules' "'fr'" 'ko,en' -- cherry data prepare --name new --vocab 400 --rules ko,fr "$work/text"
printf '{"messages": [{"role": "user", "content": "a"}]}\n{"messages": [{"role": "bot", "content": "a"}]}\n' > "$work/chat.jsonl"
refused 2 'chat.jsonl:2' 'messages[0].role' 'assistant' -- cherry data prepare --name new --vocab 400 "$work/chat.jsonl"
refused 2 'chat.jsonl:1' 'a conversation' 'two datasets' -- cherry data prepare --name new --vocab 400 "$work/text" "$work/chat.jsonl"

# A good job, then a checkpoint with a flipped byte.
without name 'name: good' 'train: {steps: 4, sequence_length: 32, global_batch_size: 8}' 'checkpoint: {every_steps: 2}'
refused 0 'good' -- submit --wait
refused 0 '' -- cherry checkpoint verify good:latest
refused 2 'rank: 9: namespaces/default/jobs/good has 1 rank' 'use 0' -- cherry logs good --rank 9
refused 4 'attempt: 9: ' 'newest' -- cherry logs good --attempt 9
refused 2 '-w: ' 'get datasets' -- cherry get datasets -w
refused 2 '--state: ' 'names' -- cherry get job good --state running
directory=$CHERRY_HOME/checkpoints/$(cherry get checkpoints good -o json | grep -oE '"path": *"[^"]*step-0*4"' | cut -d'"' -f4)
printf '\x5a' | dd of="$directory/model.safetensors" bs=1 seek=5000 conv=notrunc status=none
refused 1 'model.safetensors' 'checksum' -- cherry checkpoint verify good:4
refused 2 'model.safetensors' -- cherry generate "$directory" --prompt x
without name 'name: child' 'from: {job: good, checkpoint: 4}' 'train: {steps: 2, sequence_length: 32, global_batch_size: 8}'
sed -i '/^model:/d' "$work/job.yaml"
refused 1 'from.checkpoint' 'corrupt' 'model.safetensors' -- submit

# Token files that are not what was registered.
cp "$CHERRY_HOME/data/ko/train.bin" "$work/train.bin"
truncate -s -100 "$CHERRY_HOME/data/ko/train.bin"
without name 'name: short' 'limits: {retries: 0}' 'train: {steps: 2, sequence_length: 32, global_batch_size: 8}'
refused 1 'train.bin' -- submit --wait
cp "$work/train.bin" "$CHERRY_HOME/data/ko/train.bin"
printf '\x01' | dd of="$CHERRY_HOME/data/ko/train.bin" bs=1 seek=10 conv=notrunc status=none
without name 'name: changed' 'limits: {retries: 0}' 'train: {steps: 2, sequence_length: 32, global_batch_size: 8}'
refused 1 'train.bin' -- submit --wait
cp "$work/train.bin" "$CHERRY_HOME/data/ko/train.bin"

# A disk that is nearly full for the coordinator's records: nothing new, everything old, and on with it once freed.
mkdir "$work/full"
if mount -t tmpfs -o size=256m tmpfs "$work/full" 2> /dev/null; then
  cherry local stop > /dev/null 2>&1
  cp -r "$CHERRY_HOME" "$work/full/home"
  export CHERRY_HOME=$work/full/home
  without name 'name: more' 'resources: {ranks: 16}' 'train: {global_batch_size: 64}'
  refused 0 '' -- cherry local start --slots 2 --port $port
  fallocate -l "$(($(df --output=avail -B1 "$work/full" | tail -n 1) - (50 << 20)))" "$work/full/ballast"
  refused 5 "$work" 'MiB left: free at least 64 MiB' -- submit
  # What was accepted before the disk was full is answered as before.
  without name 'name: first' 'resources: {ranks: 16}' 'train: {global_batch_size: 64}'
  refused 0 'first' -- submit --request-id $id
  without name 'name: more' 'resources: {ranks: 16}' 'train: {global_batch_size: 64}'
  refused 0 'good' -- cherry get jobs
  rm "$work/full/ballast"
  refused 0 'more' -- submit
  refused 0 'more' 'good' -- cherry get jobs
else
  echo 'left out: a full disk needs a tmpfs, which needs root'
fi

printf '%d passed, %d failed\n' $passed $failed
[ $failed = 0 ]
