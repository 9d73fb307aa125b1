#!/usr/bin/env bash
# Files of the packages that are made of the programs; CMake calls it (cmake/CherryInstall.cmake).
# usage: made.sh FILE manual PROGRAM DESCRIPTION | completion PROGRAM SHELL | compressed SOURCE
set -euo pipefail
file=$1 kind=$2
mkdir -p "$(dirname "$file")"
case $kind in
  manual) help2man --no-info --name="$4" "$3" | gzip -9n > "$file.part" ;;
  completion) "$3" completion "$4" > "$file.part" ;;
  compressed) gzip -9n < "$3" > "$file.part" ;;
esac
mv "$file.part" "$file"
