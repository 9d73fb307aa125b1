#!/usr/bin/env bash
# The coordinator's page in a real Chromium, on a real cluster that trains, waits and has ended; and over TLS with its token.
# Usage: page.sh BIN_DIRECTORY [--screenshots DIRECTORY]
set -uo pipefail
export PATH=$1:$PATH
here=$(cd "$(dirname "$0")" && pwd)
driver=$here/../page/page_test.py
export PYTHONDONTWRITEBYTECODE=1
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((30000 + RANDOM % 1000 * 6))
export CHERRY_COORDINATOR=127.0.0.1:$port
url=http://127.0.0.1:$((port + 1))
secure=
cleanup() {
  [ -z "$secure" ] || kill "$secure"
  cherry local stop > /dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT
source "$here/../checks.sh"
source "$here/../certificates.sh"

# job NAME STEPS SEED [RANKS]
job() {
  cat > "$work/$1.yaml" <<END
kind: pretrain
name: $1
labels: {team: ko}
resources: {ranks: ${4:-1}}
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: $2, sequence_length: 32, global_batch_size: 16, micro_batch_size: 1, seed: $3}
validation: {every_steps: 5}
checkpoint: {every_steps: 20}
END
}
certificates() { cd "$work" && authority && certificate coordinator /CN=localhost; }
# answers CODE REASON CURL_ARGUMENTS...
answers() {
  local reply
  reply=$(curl -s -m 10 --noproxy '*' -w '\n%{http_code}' "${@:3}") || return 1
  has "^$1\$" "$reply" && has "$2" "$reply"
}

for i in $(seq 60); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다. %d번째 문장입니다.\n' "$i" "$((i * 7))" > "$work/$i.txt"
done
check 'a cluster starts, and says where its page is' has "page +$url/" "$(cherry local start --slots 2 --port "$port" 2>&1)"
check 'a dataset is prepared' cherry data prepare --name ko --vocab 300 --valid-share 0.2 "$work"/*.txt
[ $failed = 0 ] || exit 1
job live 100000 1
job one 12 1
job two 12 2
job wide 10 1 16
job marked 10 1 16
sed -i "s|team: ko|team: '<img src=x onerror=window.harmed=1>'|" "$work/marked.yaml"
check 'jobs are submitted' cherry submit "$work/live.yaml"
check 'one that ends' cherry submit "$work/one.yaml"
check 'one that differs' cherry submit "$work/two.yaml" --wait --timeout 60s
check 'one that waits' cherry submit "$work/wide.yaml"
if [ "${2:-}" = --screenshots ]; then
  check 'pictures are taken' "$driver" screenshots "$url" "$3"
  exit $failed
fi
check 'one with a script for a label' cherry submit "$work/marked.yaml"
check 'and for a reason' cherry cancel marked --reason '<img src=x onerror=window.harmed=2><script>window.harmed=3</script>'

check 'the page works in a browser' "$driver" cluster "$url"
check 'the JSON is that of the command' diff <(curl -s --noproxy '*' "$url/api/v1/jobs/default/one" | /usr/bin/python3 -m json.tool) \
  <(cherry get job one -o json | /usr/bin/python3 -m json.tool)
while IFS= read -r command; do
  command=${command//127.0.0.1:7071/127.0.0.1:$((port + 1))}
  check "docs/page.md: $command" has '^\{.+\}$' "$(no_proxy='*' bash -c "${command//ko-base/one}" 2>&1)"
done < <(sed -n 's/^\$ //p' "$here/../../docs/page.md")
check 'metrics are where they were' answers 200 '^cherry_build_info' "$url/metrics"
check 'another name of the host is refused' answers 403 HOST_UNKNOWN -H 'Host: example.com' "$url/api/v1/jobs"
check 'nothing can be changed' answers 405 METHOD_NOT_ALLOWED -X POST -d '{}' "$url/api/v1/jobs"

(certificates) > "$work/openssl.log" 2>&1 || cat "$work/openssl.log"
mkdir "$work/secure"
cherry-coordinator --home "$work/secure" --listen "127.0.0.1:$((port + 3))" --metrics-address "0.0.0.0:$((port + 4))" \
  --page-address "0.0.0.0:$((port + 5))" --tls-cert "$work/coordinator.pem" --tls-key "$work/coordinator.key" \
  --tls-ca "$work/ca.pem" > "$work/secure.log" 2>&1 &
secure=$!
until grep -q 'page https://' "$work/secure.log" || ! kill -0 $secure 2> /dev/null; do read -rt 0.1 <> <(:); done
outside=https://localhost:$((port + 5))
check 'off loopback metrics are plain' answers 200 '^cherry_build_info' "http://127.0.0.1:$((port + 4))/metrics"
check 'and the page is not' answers 403 PAGE_NEEDS_TLS "http://127.0.0.1:$((port + 4))/"
check 'over TLS nothing is told without a token' answers 401 TOKEN_MISSING --cacert "$work/ca.pem" "$outside/api/v1/jobs"
check 'with it everything' answers 200 '"version"' --cacert "$work/ca.pem" \
  -H "Authorization: Bearer $(cat "$work/secure/page-token")" "$outside/api/v1/server"
check 'a browser asks for the token' "$driver" token "$outside" "$work/secure"
exit $failed
