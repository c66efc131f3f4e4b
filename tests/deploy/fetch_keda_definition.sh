#!/usr/bin/env bash
# Puts KEDA's definition of ScaledObject into the cache, once, out of KEDA's Go module; nothing is built. `make test-tools`
# calls it. Without Go, or without its module proxy, the test that reads the file is skipped.
set -euo pipefail
keda=2.21.0
file=${PENSTOCK_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock}/keda-$keda.yaml
[[ ! -f $file ]] && command -v go >/dev/null || exit 0

module=$(mktemp -d)
trap 'rm -rf "$module"' EXIT
cd "$module"
folder=$(timeout 120 go mod download -json "github.com/kedacore/keda/v2@v$keda" 2>/dev/null | sed -n 's/.*"Dir": "\(.*\)".*/\1/p') || true
[[ -n $folder ]] || { echo "make test-tools: KEDA's module cannot be had, so its definition is not checked" >&2; exit 0; }
mkdir -p "${file%/*}"
install -m 644 "$folder/config/crd/bases/keda.sh_scaledobjects.yaml" "$file.$$"
mv "$file.$$" "$file" # so that nobody finds half of it
