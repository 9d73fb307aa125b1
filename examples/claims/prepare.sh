#!/usr/bin/env bash
# What the pipelines of this folder need on a running cluster: texts, datasets, their controls, and start models.
set -euo pipefail
source "$(dirname "$0")/../../deploy/lib.sh"

usage() {
  cat <<'END'
usage: examples/claims/prepare.sh [--steps N] [--quiet]

  --steps N   train every start model for N steps only: to try the pipelines, not to measure

Needs deploy/setup.sh --quickstart, the programs in build/release/bin and a cluster: cherry local start --slots 2.
Its address and its home are those of cherry: CHERRY_COORDINATOR, CHERRY_HOME. What is there stays; a start model that
was trained for another number of steps is trained again.
END
}

STEPS=
while [ $# -gt 0 ]; do
  case $1 in
    --steps) STEPS=$2; shift ;;
    --quiet) CHERRY_QUIET=1 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

HERE=$CHERRY_ROOT/examples/claims
WORK=$CHERRY_ROOT/build/claims
TEXT=$WORK/text
DATA=${CHERRY_HOME:-$HOME/.cherry}/data
export PATH=$CHERRY_ROOT/build/release/bin:$PATH
mkdir -p "$TEXT" "$WORK/log"

# The first value of a key in protobuf JSON.
field() { grep -oE "\"$2\": *\"?[^,\"}]+" <<< "$1" | head -n 1 | sed -E 's/.*: *"?//'; }

find_cluster() {
  LOG=$WORK/log/cluster.log
  cherry get workers > "$LOG" 2>&1 ||
    fail "no cluster answers" "cherry local start --slots 2; set CHERRY_COORDINATOR where its port is not 7070"
  DID=${CHERRY_COORDINATOR:-the default coordinator}
}

extract_texts() {
  LOG=$WORK/log/texts.log
  "$CHERRY_ROOT/deploy/corpus.sh" "$WORK/corpus" ko anarchism gcide > "$LOG" 2>&1 ||
    fail "the texts could not be made" "run deploy/setup.sh --quickstart, check the network, then run this script again"
  DID='libreoffice-help-ko, anarchism, dict-gcide'
}

# part FILE OPTION PATTERN SOURCE COMMAND...: the documents of SOURCE whose names match (OPTION -Ev: do not match).
part() {
  local file=$TEXT/$1
  grep "$2" "^\{\"id\": \"$3" "$4" | "${@:5}" > "$file.part"
  mv "$file.part" "$file"
}

lines() { wc -l < "$TEXT/$1.jsonl"; }

divide_texts() {
  LOG=$WORK/log/parts.log
  local ko=$WORK/corpus/ko/libreoffice-help.jsonl faq=$WORK/corpus/en/anarchism.jsonl
  part ko-help.jsonl -Ev '(scalc|sbasic)/' "$ko" cat
  part ko-calc.jsonl -E '(scalc|sbasic)/' "$ko" cat
  part en-faq.jsonl -Ev append "$faq" /usr/bin/python3 "$HERE/pieces.py" 6000
  part en-ref.jsonl -E append "$faq" /usr/bin/python3 "$HERE/pieces.py" 6000
  DID="$(lines ko-help) and $(lines ko-calc) Korean pages, $(lines en-faq) and $(lines en-ref) pieces of English ones"
}

make_dialogues() {
  LOG=$WORK/log/dialogues.log
  local topics
  for topics in start arms; do
    /usr/bin/python3 "$HERE/dialogues.py" --topics $topics --count 20000 --seed 1 > "$TEXT/talk-$topics.part" 2> "$LOG" ||
      fail "no dialogues" "see the log"
    mv "$TEXT/talk-$topics.part" "$TEXT/talk-$topics.jsonl"
  done
  DID='20,000 synthetic dialogues of each half of the topics, Korean and English'
}

# dataset NAME ARGUMENT...: made by `cherry data prepare`, unless it is there.
dataset() {
  NAME=$1
  shift
  ARGUMENTS=("$@")
  phase "$NAME" prepare_dataset
}

prepare_dataset() {
  LOG=$WORK/log/data-$NAME.log
  local there=
  if cherry get datasets "$NAME" > "$LOG" 2>&1; then
    there=' (there already)'
  elif [ -e "$DATA/$NAME/manifest.json" ]; then
    cherry data register "$NAME" > "$LOG" 2>&1 || fail "$NAME could not be registered" "see the log"
    there=' (there already)'
  else
    cherry data prepare --name "$NAME" "${ARGUMENTS[@]}" > "$LOG" 2>&1 ||
      fail "$NAME could not be made" "see the log; 'rm -r $DATA/$NAME' starts afresh"
  fi
  DID="$(field "$(cherry get datasets "$NAME" -o json)" tokens) tokens in train$there"
}

# What has to be waited for is submitted first, so that every slot has something to do.
submit_starts() {
  LOG=$WORK/log/submit.log
  : > "$LOG"
  local name job state steps submitted=()
  for name in "${STARTS[@]}"; do
    steps=${STEPS:-$(sed -nE 's/.*steps: ([0-9]+).*/\1/p' "$HERE/start/$name.yaml" | head -n 1)}
    job=$(cherry get jobs "$name" -o json 2>> "$LOG" || true)
    state=$(field "$job" state || true)
    case $state in
      SUCCEEDED) if [ "$(field "$job" steps)" = "$steps" ]; then continue; fi ;;
      PENDING | STARTING | RUNNING | PAUSED | BACKOFF) continue ;;
    esac
    cherry submit "$HERE/start/$name.yaml" --set train.steps="$steps" >> "$LOG" 2>&1 ||
      fail "$name was not taken" "see the log"
    submitted+=("$name")
  done
  DID="${#submitted[@]} of ${#STARTS[@]} to train${submitted[*]:+: ${submitted[*]}}"
}

wait_for_start() {
  LOG=$WORK/log/start-$NAME.log
  cherry watch "$NAME" > "$LOG" 2>&1 || fail "$NAME did not succeed" "cherry explain $NAME; cherry logs $NAME"
  local job
  job=$(cherry get jobs "$NAME" -o json)
  DID="validation loss $(printf %.3f "$(field "$job" valid_loss)") at step $(field "$job" step)"
}

main() {
  local start=$EPOCHREALTIME
  phase 'cluster' find_cluster
  phase 'texts' extract_texts
  phase 'parts of the texts' divide_texts
  phase 'dialogues' make_dialogues
  dataset ko-help --vocab 2048 --rules ko --valid-share 0.1 "$TEXT/ko-help.jsonl"
  dataset ko-calc --tokenizer ko-help --rules ko --valid-share 0.15 "$TEXT/ko-calc.jsonl"
  dataset en-dict --vocab 2048 --rules en --valid-share 0.003 "$WORK/corpus/en/gcide.jsonl"
  local faq=(--tokenizer en-dict --rules en --valid-share 0.1 "$TEXT/en-faq.jsonl")
  dataset en-faq "${faq[@]}"
  dataset en-ref --tokenizer en-dict --rules en --valid-share 0.05 "$TEXT/en-ref.jsonl"
  # The ladder of row 5. k-let:3 is refused where a split is too short: at --valid-share 0.03 of this text.
  dataset en-faq-sentences "${faq[@]}" --control sentences
  dataset en-faq-k3 "${faq[@]}" --control k-let:3
  dataset en-faq-k2 "${faq[@]}" --control k-let:2
  dataset en-faq-shuffle "${faq[@]}" --control shuffle
  dataset talk-start --vocab 2048 --valid-share 0.02 "$TEXT/talk-start.jsonl"
  dataset talk --tokenizer talk-start --valid-share 0.05 "$TEXT/talk-arms.jsonl"
  STARTS=(en-start ko-start talk-start en-deep en-reference)
  phase 'start models' submit_starts
  for NAME in "${STARTS[@]}"; do
    phase "$NAME" wait_for_start
  done
  printf '%-22s %7.1f s\n' 'in all' "$(seconds_since "$start")"
}

main
