#!/usr/bin/env bash
# clang-tidy over our own sources, or over the files given. A Torch file takes 20 to 40 s.
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"
cmake --preset release -B build/tidy -DCHERRY_UNITE=OFF > /dev/null
files=("$@")
if [ ${#files[@]} -eq 0 ]; then
  mapfile -t files < <(git ls-files 'common/*.cc' 'coordinator/*.cc' 'worker/*.cc' 'client/*.cc')
fi
# GCC's precompiled headers and flags mean nothing to clang; the messages' headers are those of the release build.
sed -i -E 's/-include [^ ]*cmake_pch\.hxx|-Winvalid-pch|-fpch-preprocess|-Wno-subobject-linkage//g; s#/build/tidy/proto\b#/build/release/proto#g' \
  build/tidy/compile_commands.json
printf '%s\n' "${files[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build/tidy
