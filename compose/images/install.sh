#!/usr/bin/env bash
# install.sh EXTRA…: what every process needs, and these extras, from requirements.lock by hash, into /opt/penstock.
set -euo pipefail
python3 compose/images/requirements.py "$@" > requirements.txt
/tools/bin/pip --python /opt/penstock/bin/python install --require-hashes -r requirements.txt
