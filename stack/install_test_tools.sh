#!/usr/bin/env bash
# Node.js and npm, which run the official AsyncAPI parser and a CloudEvents SDK, and promtool, which checks the alert rules
# (without it those tests are skipped). Only the tests need them, not the fleet.
set -euo pipefail
cd "$(dirname "$0")"

missing=()
command -v node >/dev/null || missing+=(nodejs)
command -v npm >/dev/null || missing+=(npm)
((${#missing[@]} == 0)) || ./install_packages.sh test "${missing[@]}"

needed=18.18
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 18 || (a == 18 && b >= 18) ? 0 : 1)' || {
  echo "make test: Node.js $needed or newer is needed, $(node --version) is too old" >&2
  exit 1
}

if ! command -v promtool >/dev/null && [[ $(id -u) == 0 ]]; then
  ./install_packages.sh test prometheus || echo "make test: promtool is not there, so what it checks is skipped" >&2
  ! command -v systemctl >/dev/null || systemctl disable --now prometheus 2>/dev/null || true # only its tool is needed
fi
