#!/usr/bin/env bash
# clang-tidy over our own sources, or over the files given: a line for each, and what it found. Ends with 1 if it did.
#
# What a file costs is mostly its headers (20 to 40 s with Torch's), so without arguments the files are read together
# as the build unites them. As one text and not by #include: some checks leave out what is not in the main file.
# What was clean is not read again until it, a header of ours that it includes, the messages or the checks change.
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"
unite=$([ $# -eq 0 ] && echo ON || echo OFF)
TIDY=$CHERRY_ROOT/build/tidy-$unite
export CHERRY_ROOT TIDY
cmake --preset release -B "$TIDY" -DCHERRY_UNITE="$unite" > /dev/null
# GCC's precompiled headers and flags mean nothing to clang; the messages' headers are those of the release build.
sed -i -E 's/-include [^ ]*cmake_pch\.hxx|-Winvalid-pch|-fpch-preprocess|-Wno-subobject-linkage//g; s#/build/tidy-[A-Z]*/proto\b#/build/release/proto#g' \
  "$TIDY/compile_commands.json"
mkdir -p "$TIDY/clean"

# join_unit UNIT: puts the text of the files that it includes in their place, after a line that names each.
join_unit() {
  local file
  for file in $(sed -n 's/^#include "\(.*\.cc\)"$/\1/p' "$1"); do
    if [ -f "$file" ]; then printf '// file %s\n' "$file"; cat "$file"; fi
  done > "$1.joined"
  mv "$1.joined" "$1"
}

# own_place UNIT: clang-tidy's output with the places in UNIT as places in the files that were joined.
own_place() {
  awk -v unit="$1" '
    FNR == NR { if (/^\/\/ file /) { first[++count] = FNR; name[count] = $3 } next }
    index($0, unit ":") == 1 && count {
      split(substr($0, length(unit) + 2), at, ":")
      for (i = count; first[i] > at[1]; --i) {}
      $0 = name[i] ":" at[1] - first[i] ":" substr($0, length(unit) + length(at[1]) + 3)
    }
    { print }' "$1" -
}

# check FILE: what its result depends on is what GCC says it reads; system headers are not among that.
check() {
  local file=$1 command key found start=$SECONDS
  command=$(grep -m 1 -B 1 -F "\"file\": \"$file\"" "$TIDY/compile_commands.json" |
    sed -n 's/^ *"command": "\(.*\)",$/\1/p') || true
  if [ -z "$command" ]; then printf '%s: no target compiles it\n' "$file"; return 1; fi
  key=$(cd "$TIDY" && { cat "$CHERRY_ROOT/.clang-tidy" "$CHERRY_ROOT"/proto/cherry/v1/*.proto; echo "$command"
    eval "${command//\\\"/\"} -MM -MF /dev/stdout" | tr -d '\\' | tr ' ' '\n' | grep '^/' | sort -u | xargs cat; } | sha256sum)
  key=$TIDY/clean/${key%% *}
  if [ -e "$key" ]; then printf '%s: clean, known\n' "${file#"$CHERRY_ROOT/"}"; return; fi
  if found=$(clang-tidy --quiet -p "$TIDY" "$file" 2>&1); then
    touch "$key"
    printf '%s: clean, %d s\n' "${file#"$CHERRY_ROOT/"}" $((SECONDS - start))
  else
    printf '%s: findings, %d s\n%s\n' "${file#"$CHERRY_ROOT/"}" $((SECONDS - start)) "$(own_place "$file" <<< "$found")"
    return 1
  fi
}
export -f check own_place

files=("$@")
if [ "$unite" = ON ]; then
  mapfile -t files < <(sed -n 's/^ *"file": "\(.*\)"$/\1/p' "$TIDY/compile_commands.json" | awk '!seen[$0]++' |
    grep -E "^$CHERRY_ROOT/(build/tidy-ON/)?(common|coordinator|worker|client)/" |
    grep -vE '/CMakeFiles/|/embedded_rules')
  for file in "${files[@]}"; do
    if [[ $file == "$TIDY"/* ]]; then join_unit "$file"; fi
  done
else
  mapfile -t files < <(realpath "$@")
fi
printf '%s\n' "${files[@]}" | xargs -P "${CHERRY_JOBS:-$(nproc)}" -n 1 bash -euo pipefail -c 'check "$1"' check ||
  fail "clang-tidy has findings" "mend them; NOLINT(check) with a reason where a check is wrong"
