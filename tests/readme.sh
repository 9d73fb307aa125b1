#!/usr/bin/env bash
# Runs every command of the README's first job, in order, as they stand there (but for the ports), in a home of
# its own, after a check that every file and link that the docs name exists (--links: that check alone).
source "$(dirname "$0")/lib.sh"
cd "$CHERRY_ROOT"
export CHERRY_HOME=$(mktemp -d)
port=$((20000 + RANDOM % 10000))
export CHERRY_COORDINATOR=127.0.0.1:$port
trap 'build/release/bin/cherry local stop > /dev/null 2>&1 || true; rm -rf "$CHERRY_HOME" ko-base-hf ko-small-hf ko-sgt.html' EXIT

check_links() {
  local file target
  for file in README.md CONTRIBUTING.md docs/*.md docs/design/*.md; do
    while read -r target; do
      if [ ! -e "$(dirname "$file")/$target" ]; then
        echo "$file names $target, which does not exist"
        return 1
      fi
    done < <(grep -oE '\]\([^)#:]+\)' "$file" | sed -E 's/^\]\(//; s/\)$//')
    while read -r target; do
      if [ ! -e "$target" ]; then
        echo "$file names $target, which does not exist"
        return 1
      fi
    done < <(grep -oE '`(\./)?(deploy|tests|proto|common|coordinator|worker|client|examples|docs)/[A-Za-z0-9_./-]+`' "$file" | tr -d '`')
  done
}

# Every example would be accepted, beside the jobs of the README's commands.
check_examples() {
  local file
  for file in examples/*.yaml; do
    echo "\$ cherry submit $file --dry-run"
    cherry submit "$file" --dry-run > /dev/null
  done
}

run_commands() {
  local command
  while IFS= read -r command; do
    command=${command//local start --slots 2/local start --slots 2 --port $port}
    if [ "$command" = 'cherry local stop' ]; then check_examples; fi
    echo "\$ $command"
    eval "$command"
  done < <(awk '/^```console/ {on = 1; next} /^```/ {on = 0} on && /^\$ / {print substr($0, 3)}' README.md)
}

check_links
if [ "${1:-}" = --links ]; then exit 0; fi
./deploy/corpus.sh build/quickstart/corpus
run_commands
echo 'every command of the README ran'
