# shellcheck shell=bash disable=SC2154
# For scripts that run the commands of a page: source it after tests/checks.sh, with $page and $work set.
failed=${failed:-0}

# within SECONDS COMMAND...: until it succeeds.
within() {
  local until=$((SECONDS + $1))
  until "${@:2}" > "$work/within.log" 2>&1; do
    if [ $SECONDS -ge $until ]; then
      printf 'not within %s s: %s\n' "$1" "${*:2}"
      cat "$work/within.log"
      return 1
    fi
    read -rt 0.2 <> <(:) || true
  done
}
# must WHAT COMMAND...: a check without which the rest makes no sense.
must() { check "$@" && [ "$failed" = 0 ]; }

# The page's commands, one after the other; PREFIX says where in it the script is.
mapfile -t commands < <(awk '/^```console/ {on = 1; next} /^```/ {on = 0} on && /^\$ / {print substr($0, 3)}' "$page")
next=0
documented() {
  local command=${commands[next]:-}
  [[ $command == "$1"* ]] || { echo "${page##*/} has \"$command\" where the test has \"$1\""; exit 1; }
  next=$((next + 1))
  echo "\$ $command"
  eval "$command"
}
