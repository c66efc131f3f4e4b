#!/usr/bin/env bash
# Builds a real Kubernetes control plane (kube-apiserver, etcd, kube-controller-manager) from Go modules into the cache,
# once: about 25 CPU-minutes and 5 GB of Go's own caches. Prints the folder. `make test-deploy` calls it; `make test` does not.
#
#   JOBS=1 nice -n 19 tests/deploy/build_apiserver.sh     # with one processor
set -euo pipefail

kubernetes=1.37.2
etcd=3.7.3
programs=(
  "k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver"
  "go.etcd.io/etcd/server/v3 etcd"
  "k8s.io/kubernetes/cmd/kube-controller-manager kube-controller-manager"
)

target=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/kubernetes-$kubernetes
mkdir -p "$target"
exec 9>"$target/.lock"
flock 9

missing=()
for program in "${programs[@]}"; do
  [[ -x $target/${program#* } ]] || missing+=("$program")
done
if ((${#missing[@]} == 0)); then
  echo "$target"
  exit
fi
command -v go >/dev/null || {
  echo "Go is needed to build the API server: https://go.dev/doc/install" >&2
  exit 1
}

module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
cd "$module"
export CGO_ENABLED=0 GOFLAGS=-mod=mod
[[ -z ${JOBS:-} ]] || export GOMAXPROCS=$JOBS
go mod init penstock.test/kubernetes 2>/dev/null

# Kubernetes replaces its staging modules by folders that a module does not have; the same modules are published as 0.x.
staged=v0.${kubernetes#*.}
go mod download -json "k8s.io/kubernetes@v$kubernetes" >download.json
go_mod=$(sed -n 's/.*"GoMod": "\(.*\)".*/\1/p' download.json)
while read -r name; do
  go mod edit -replace "$name=$name@$staged"
done < <(sed -n 's|^[[:space:]]*\(k8s\.io/[^ ]*\) => \./staging/.*|\1|p' "$go_mod")
go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@v$kubernetes" \
  "k8s.io/kubernetes/cmd/kube-controller-manager@v$kubernetes" "go.etcd.io/etcd/server/v3@v$etcd" >&2

# Without these its version is one that clients cannot parse.
package=k8s.io/component-base/version
minor=${kubernetes#*.}
flags="-s -w -X $package.gitVersion=v$kubernetes -X $package.gitMajor=${kubernetes%%.*} -X $package.gitMinor=${minor%.*}"
for program in "${missing[@]}"; do
  name=${program#* }
  echo "building $name" >&2
  go build ${JOBS:+-p "$JOBS"} -trimpath -ldflags "$flags" -o "$target/.$name" "${program% *}"
  mv "$target/.$name" "$target/$name"
done
echo "$target"
