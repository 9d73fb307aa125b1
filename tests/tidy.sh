#!/usr/bin/env bash
# clang-tidy over our own sources, or over the files given. A Torch file takes 20 to 40 s.
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"
cmake --preset release >/dev/null
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(git ls-files 'common/*.cc' 'coordinator/*.cc' 'worker/*.cc' 'client/*.cc')
fi
# GCC's precompiled headers and flags mean nothing to clang.
python3 - build/release/compile_commands.json build/tidy <<'PY'
import json, os, re, sys
commands = json.load(open(sys.argv[1]))
for entry in commands:
    entry["command"] = re.sub(r"-include \S*cmake_pch\.hxx|-Winvalid-pch|-fpch-preprocess|\S*ccache ", "", entry["command"])
os.makedirs(sys.argv[2], exist_ok=True)
json.dump(commands, open(os.path.join(sys.argv[2], "compile_commands.json"), "w"))
PY
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/tidy
