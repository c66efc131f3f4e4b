#!/usr/bin/env bash
# requirements.lock → .venv, and the jars of the Java servers → the cache. Safe to run again; `make setup` knows when.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}

fail() { echo "make setup: $1" >&2; exit 1; }

command -v "$python" >/dev/null || fail "Python 3.11 or newer is needed: apt-get install -y python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "Python 3.11 or newer is needed, $("$python" -V) is too old; name another one with PYTHON=…"

missing=()
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v mvn >/dev/null || missing+=(maven)
PATH=$PATH:/usr/local/sbin:/usr/sbin
[[ ${PENSTOCK_EDGE:-on} == off ]] || command -v haproxy >/dev/null || missing+=(haproxy)
((${#missing[@]} == 0)) || stack/install_packages.sh setup "${missing[@]}"

.venv/bin/python -c '' 2>/dev/null || "$python" -m venv --clear .venv
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet)
"${pip[@]}" --require-hashes -r requirements.lock
"${pip[@]}" --no-deps --no-build-isolation -e .
.venv/bin/penstock fetch
