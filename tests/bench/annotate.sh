#!/usr/bin/env bash
# How fast the language rules label a text, beside the tokenizer that they keep up with: Korean and English.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d "$PWD/build/bench-XXXXXX")
trap 'rm -rf "$work"' EXIT
./deploy/corpus.sh "$work/text" ko anarchism --quiet
for text in ko/libreoffice-help en/anarchism; do
  name=${text%/*}
  build/release/bin/cherry --home "$work" data prepare --no-register --name "$name" --vocab 2048 "$work/text/$text.jsonl" \
    > "$work/$name.log" 2>&1 || { cat "$work/$name.log"; exit 1; }
  echo "$text"
  build/release/test-bin/cherry-bench-annotate "$work/data/$name/tokenizer.json" "$work/text/$text.jsonl" "${1:-5}"
done
