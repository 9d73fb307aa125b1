#!/usr/bin/env bash
# Real text to train on, out of Debian packages, as JSONL.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: deploy/corpus.sh OUTDIR [ko] [anarchism] [gcide] [--quiet]

Writes OUTDIR/ko/libreoffice-help.jsonl (Korean; the default), and of the same pages those about tables and
macros (OUTDIR/parts/ko-calc.jsonl) and the others (ko-rest.jsonl); OUTDIR/en/anarchism.jsonl and
OUTDIR/en/gcide.jsonl (English): one document a line, {"id": NAME, "text": TEXT}. The packages are
unpacked beneath $CHERRY_DEPS (~/.cache/cherry/deps), not installed. Files that are there stay.
Needs deploy/setup.sh --quickstart.
END
}

OUT='' WANTED=()
for argument in "$@"; do
  case $argument in
    --quiet) CHERRY_QUIET=1 ;;
    --help | -h) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) if [ -z "$OUT" ]; then OUT=$argument; else WANTED+=("$argument"); fi ;;
  esac
done
if [ -z "$OUT" ]; then usage >&2; exit 2; fi
if [ ${#WANTED[@]} = 0 ]; then WANTED=(ko); fi

# extract KIND PACKAGE FILE: FILE is there only when it is whole.
extract() {
  local kind=$1 package=$2 file=$OUT/$3 root=$CHERRY_DEPS/text/$2 counts=$CHERRY_DEPS/text/$1.counts
  LOG=$CHERRY_DEPS/logs/corpus-$kind.log
  : > "$LOG"
  unpack_deb "$package" "$root"
  if [ -f "$file" ] && [ "$root/.version" -ot "$file" ] && [ "$CHERRY_ROOT/deploy/corpus_text.py" -ot "$file" ]; then
    DID="$(cat "$counts") (there already)"
    return
  fi
  mkdir -p "$(dirname "$file")"
  /usr/bin/python3 "$CHERRY_ROOT/deploy/corpus_text.py" "$kind" "$root" > "$file.part" 2> "$LOG" ||
    fail "cannot read the text of $package" "run deploy/setup.sh --quickstart, or rm -r $root and try again"
  cp "$LOG" "$counts"
  mv "$file.part" "$file"
  DID="$(cat "$counts"): $file"
}

korean() {
  extract ko libreoffice-help-ko ko/libreoffice-help.jsonl
  local pattern='^\{"id": "(scalc|sbasic)/' whole=$OUT/ko/libreoffice-help.jsonl parts=$OUT/parts
  mkdir -p "$parts"
  grep -E "$pattern" "$whole" > "$parts/ko-calc.jsonl"
  grep -Ev "$pattern" "$whole" > "$parts/ko-rest.jsonl"
}
faq() { extract anarchism anarchism en/anarchism.jsonl; }
dictionary() { extract gcide dict-gcide en/gcide.jsonl; }

mkdir -p "$CHERRY_DEPS/logs" "$CHERRY_DEPS/text"
for kind in "${WANTED[@]}"; do
  case $kind in
    ko) phase 'Korean text' korean ;;
    anarchism) phase 'English text' faq ;;
    gcide) phase 'English dictionary' dictionary ;;
    *) fail "no text is called $kind" "choose from ko, anarchism, gcide" ;;
  esac
done
