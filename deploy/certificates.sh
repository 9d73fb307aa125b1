#!/usr/bin/env bash
# An authority and certificates for a cluster that has none: of the coordinator on host HEAD, of a person who may do
# everything (me), and of a worker on each NODE. What is there stays. Usage: certificates.sh DIRECTORY HEAD NODE...
set -euo pipefail
if [ $# -lt 3 ]; then
  sed -n 's/^# .*Usage: /usage: /p' "$0" >&2
  exit 2
fi
umask 077
mkdir -p "$1"
cd "$1"
key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)

# certificate NAME SUBJECT [HOST]
certificate() {
  if [ -s "$1.pem" ]; then return; fi
  openssl req "${key[@]}" -subj "$2" -keyout "$1.key" -out "$1.csr" 2> openssl.log
  printf 'basicConstraints=CA:FALSE\n%s' "${3:+subjectAltName=DNS:$3,DNS:localhost}" > extensions
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 365 -extfile extensions -out "$1.new" 2> openssl.log
  mv "$1.new" "$1.pem"
  rm -f "$1.csr" extensions openssl.log
  echo "made $PWD/$1.pem"
}

trap 'if [ -s openssl.log ]; then cat openssl.log >&2; fi' EXIT
[ -s ca.pem ] || openssl req -x509 "${key[@]}" -days 3650 -subj /CN=cherry -keyout ca.key -out ca.pem 2> openssl.log
rm -f openssl.log
certificate coordinator "/CN=$2" "$2"
certificate me '/OU=operator/CN=me'
for node in "${@:3}"; do
  # as deploy/slurm/cherry-workers.sbatch names the worker of a node.
  name=$(tr 'A-Z._' 'a-z--' <<< "$node")
  [[ $name == [a-z]* ]] || name=n$name
  certificate "$name" "/OU=worker/CN=$name"
done
