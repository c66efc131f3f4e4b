#!/usr/bin/env bash
# private_folder.sh FOLDER: makes it for this user alone; refuses one that belongs to somebody else, or that others may write.
set -euo pipefail
folder=$1
(umask 077 && mkdir -p "$folder")
[[ ! -L $folder && -O $folder && -z $(find "$folder" -maxdepth 0 -perm /022) ]] || {
  echo "make test-deploy: $folder must belong to user $(id -un), who alone may write to it; give another ENGINE_FOLDER" >&2
  exit 1
}
