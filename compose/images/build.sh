#!/usr/bin/env bash
# build.sh [TARGET…]: builds the images of the Dockerfile (default: all) with docker, podman or buildah, whichever is there.
# ENGINE=… names one; ARGS='--network host …' are passed on.
set -euo pipefail
cd "$(dirname "$0")/../.."

engine=${ENGINE:-}
for each in docker podman buildah; do
  [[ -n $engine ]] || ! command -v "$each" >/dev/null || engine=$each
done
[[ -n $engine ]] || { echo "make images: docker, podman or buildah is needed" >&2; exit 1; }

version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
mapfile -t all < <(sed -n 's/^FROM service AS //p' Dockerfile)
(($# > 0)) && targets=("$@") || targets=("${all[@]}")
for target in "${targets[@]}"; do
  echo "make images: penstock-$target:$version"
  # shellcheck disable=SC2086
  DOCKER_BUILDKIT=1 "$engine" build ${ARGS:-} --target "$target" --tag "penstock-$target:$version" .
done
