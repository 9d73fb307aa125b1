# For scripts that try a cluster: each check prints one line, and `failed` is 1 after one that failed.
failed=0
# check WHAT COMMAND...: the command succeeds.
check() {
  local output
  if output=$("${@:2}" 2>&1); then
    echo "ok    $1"
  else
    failed=1
    printf 'FAIL  %s\n%s\n' "$1" "$(sed 's/^/  | /' <<< "$output")"
  fi
}
has() { grep -qE "$1" <<< "$2" || { printf 'no "%s" in:\n%s\n' "$1" "$2"; return 1; }; }
# on_core N COMMAND...: becomes the command, on the N-th of the cores there are. Two workers that each take all of them for
# their own hold each other up within every operation.
on_core() {
  local core
  core=$(/usr/bin/python3 -c 'import os, sys; cores = sorted(os.sched_getaffinity(0)); print(cores[int(sys.argv[1]) % len(cores)])' "$1")
  exec taskset --cpu-list "$core" "${@:2}"
}
