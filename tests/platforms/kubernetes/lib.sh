# shellcheck shell=bash disable=SC1091,SC2034,SC2154,SC2317
# For tests/platforms/{apiserver,helm,node}.sh, in name spaces of their own: source it with $here, $root, $cache, $work set.
source "$here/../checks.sh"
page=$root/docs/kubernetes.md
source "$here/lib-documented.sh"
export PATH=$cache/bin:$PATH KUBECONFIG=$work/kubeconfig
export HELM_CACHE_HOME=$work/helm HELM_CONFIG_HOME=$work/helm HELM_DATA_HOME=$work/helm
touch "$work/begun"
cd "$work"
ln -s "$root/deploy" deploy
chart=deploy/helm/cherry

# The control groups that runc or containerd has made since: their file system is the machine's.
cgroups() { find /sys/fs/cgroup -mindepth 2 -depth -type d -newer "$work/begun" \( -path "*/${work##*/}*" -o -path '*/k8s.io*' \); }
state() { :; }  # What to show besides after a failure.
finish() {
  local code=$?
  set +e
  if [ $code != 0 ] || [ "$failed" != 0 ]; then
    state
    for log in "$work"/*.log; do
      printf '==> %s\n' "$log"
      grep -vE '^I[0-9]{4}' "$log" | tail -n "${CHERRY_TAIL:-6}" | cut -c 1-250
    done | sed 's/^/  | /'
  fi
  exec 2> /dev/null  # Bash tells of each child.
  kill -KILL -1 && wait  # All of this process namespace but this shell.
  awk -v work="$work" 'index($2, work) == 1 {print $2}' /proc/mounts | sort -r | xargs -r umount --lazy
  local until=$((SECONDS + 10))
  until [ -z "$(cgroups)" ] || [ $SECONDS -ge $until ]; do cgroups | xargs -r rmdir; done  # Empty when all are reaped.
  rm -rf --one-file-system "$work"
  exit $((code != 0 ? code : failed))
}
trap finish EXIT

# Of the cluster that as_me speaks with:
workers() { [ "$(as_me get workers | grep -c " $1 ")" = "$2" ]; }
job_is() { as_me get jobs "$1" | grep " $2 "; }
step_of() { as_me get jobs "$1" | awk 'NR == 2 {split($5, step, "/"); print step[1] + 0}'; }
at_step() { [ "$(step_of "$1")" -ge "$2" ]; }
attempts() { [ "$(as_me describe job "$1" | grep -cE '^ +[0-9]+ +(ENDED|RUNNING|STARTING) ')" = "$2" ]; }
preempted() { as_me describe job "$1" | grep -E '^ +1 +ENDED +preempted'; }
saved() { as_me get checkpoints "$1" | grep COMMITTED; }
# corpus FOLDER, job FOLDER NAME STEPS: text, and a job over two workers, in the folder that pods see as /srv/cherry.
corpus() {
  local i
  mkdir -p "$1/corpus"
  for i in $(seq 60); do
    printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
      > "$1/corpus/$i.txt"
  done
}
job() {
  cat > "$1/$2.yaml" << YAML
kind: pretrain
name: $2
resources: {ranks: 2, ranks_per_host: 1}
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: $3, sequence_length: 64, global_batch_size: 8, micro_batch_size: 4}
checkpoint: {every_steps: 100000}
YAML
}

# root_of FOLDER PROGRAM...: the programs in /usr/bin, with the libraries that they link where they link them.
root_of() {
  local link program library
  mkdir -p "$1"/{usr/bin,etc,tmp,proc,sys,dev,var/lib/cherry,srv/cherry}
  for link in bin lib lib64 sbin; do
    mkdir -p "$1/usr/$link"
    ln -sfn "usr/$link" "$1/$link"
  done
  echo 'cherry:x:880:880::/var/lib/cherry:/usr/sbin/nologin' > "$1/etc/passwd"
  for program in "${@:2}"; do
    cp -L "$program" "$1/usr/bin/"
    while read -r library; do
      if [ ! -e "$1$library" ]; then
        mkdir -p "$1${library%/*}"
        cp -L "$library" "$1$library"
      fi
    done < <(ldd "$program" | grep -oE '/[^ ]+\.so[^ ]*')
  done
  chmod -R go+rX "$1"
}
