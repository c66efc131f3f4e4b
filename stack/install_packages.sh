#!/usr/bin/env bash
# install_packages.sh VERB PACKAGE…: installs packages of Debian where it may, and otherwise says how.
set -euo pipefail
verb=$1; shift
install="apt-get install -y --no-install-recommends $*"
if [[ $(id -u) != 0 ]] || ! command -v apt-get >/dev/null; then
  echo "make $verb: missing: $*. Install with: sudo $install" >&2
  exit 1
fi
echo "make $verb: $install"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && $install -qq >/dev/null; } || { echo "make $verb: could not install: $*" >&2; exit 1; }
