# shellcheck shell=bash
# For tests/platforms/helm.sh: source it.

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
