#!/usr/bin/env bash
# Builds the OpenTelemetry Collector of collector/main.go, once for each version of it, and prints where it is.
# Needs Go and a module proxy; takes some five minutes of CPU. Tests only look whether the binary is there.
set -euo pipefail
cd "$(dirname "$0")/collector"
key=$(cat main.go go.mod go.sum | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-$HOME/.cache}/penstock/otelcol-$key"
if [ ! -x "$folder/otelcol" ]; then
    mkdir -p "$folder"
    CGO_ENABLED=0 nice -n 19 go build -trimpath -ldflags "-s -w" -o "$folder/otelcol.$$" .
    mv "$folder/otelcol.$$" "$folder/otelcol" # so that nobody finds half of it
fi
echo "$folder/otelcol"
