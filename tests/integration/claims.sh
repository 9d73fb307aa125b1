#!/usr/bin/env bash
# Every pipeline of examples/claims as the coordinator would take it: on a small text in the place of all its datasets, its
# start models in the same pipeline. Usage: claims.sh BIN_DIRECTORY
set -uo pipefail
bin=$1
claims=$(cd "$(dirname "$0")/../../examples/claims" && pwd)
export PATH=$bin:$PATH
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((25000 + RANDOM % 2500 * 2))
export CHERRY_COORDINATOR=127.0.0.1:$port
trap 'cherry local stop > /dev/null 2>&1; rm -rf "$work"' EXIT
source "$(dirname "$0")/../checks.sh"

cherry local start --slots 2 --port $port > "$work/start.log" 2>&1 || { cat "$work/start.log"; exit 1; }
/usr/bin/python3 "$claims/dialogues.py" --topics arms --count 400 > "$work/talk.jsonl" 2> /dev/null
/usr/bin/python3 "$claims/dialogues.py" --topics arms --count 400 2> /dev/null | cmp - "$work/talk.jsonl" ||
  { echo 'the same arguments gave other dialogues'; exit 1; }
cherry data prepare --name one --vocab 600 --valid-share 0.2 "$work/talk.jsonl" > "$work/one.log" 2>&1 || { cat "$work/one.log"; exit 1; }
cherry data prepare --name two --tokenizer one --valid-share 0.2 "$work/talk.jsonl" > "$work/two.log" 2>&1 || { cat "$work/two.log"; exit 1; }

labels=$(cherry get datasets one -o json)
share() { # share CATEGORY: of what the assistant says in `one`, in percent.
  echo $(($(grep -oE "\"$1_tokens\": *\"[0-9]+" <<< "$labels" | head -n 1 | grep -oE '[0-9]+$') * 100 /
    $(grep -oE '"response_tokens": *"[0-9]+' <<< "$labels" | head -n 1 | grep -oE '[0-9]+$')))
}
check 'dialogues have reasons' [ "$(share reason)" -ge 2 ]
check 'and corrections' [ "$(share correct)" -ge 2 ]

for file in "$claims"/*.yaml; do
  row=$work/$(basename "$file")
  for part in "$claims"/start/*.yaml "$file"; do
    cat "$part"
    echo ---
  done | sed -E 's#en-dict/#two/#g; s#\b(ko|en|talk)(-[a-z0-9]+)*/(train|valid)#one/\3#g' > "$row"
  check "$(basename "$file") is taken" cherry submit "$row" --dry-run
done
exit $failed
