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
