#!/usr/bin/env bash
# Builds a real kube-apiserver and etcd from Go modules into the cache, once, and puts KEDA's resource definition beside
# them: about 20 CPU-minutes and 5 GB of Go's own caches. Prints the folder. `make test-deploy` calls it.
#
#   JOBS=1 nice -n 19 tests/deploy/build_apiserver.sh     # with one processor
set -euo pipefail

kubernetes=1.37.2
etcd=3.7.3
keda=2.21.0
programs=(
  "k8s.io/kubernetes/cmd/kube-apiserver kube-apiserver"
  "go.etcd.io/etcd/server/v3 etcd"
)

target=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/kubernetes-$kubernetes
mkdir -p "$target"
exec 9>"$target/.lock"
flock 9

definition=$target/keda-$keda.yaml # of ScaledObject

missing=()
for program in "${programs[@]}"; do
  [[ -x $target/${program#* } ]] || missing+=("$program")
done
if ((${#missing[@]} == 0)) && [[ -f $definition ]]; then
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

value() { # of a member of what `go mod download -json` prints
  sed -n "s/.*\"$1\": \"\(.*\)\".*/\1/p"
}

folder=$(go mod download -json "github.com/kedacore/keda/v2@v$keda" | value Dir)
install -m 644 "$folder/config/crd/bases/keda.sh_scaledobjects.yaml" "$definition"

# Kubernetes replaces its staging modules by folders that a module does not have; the same modules are published as 0.x.
staged=v0.${kubernetes#*.}
go_mod=$(go mod download -json "k8s.io/kubernetes@v$kubernetes" | value GoMod)
while read -r name; do
  go mod edit -replace "$name=$name@$staged"
done < <(sed -n 's|^[[:space:]]*\(k8s\.io/[^ ]*\) => \./staging/.*|\1|p' "$go_mod")
go get -tool "k8s.io/kubernetes/cmd/kube-apiserver@v$kubernetes" "go.etcd.io/etcd/server/v3@v$etcd" >&2

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
