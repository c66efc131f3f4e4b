#!/usr/bin/env bash
# engine.sh: a Docker engine of its own in a network namespace of its own, the images, the stand-ins of the vendors', then
# journey.py against compose/; afterwards everything that it started is gone. Needs root, Debian, about 20 GB and 6 GB of
# memory; 20 to 40 minutes the first time. Nothing of a Docker on this machine is touched: other socket, data and network.
#   ENGINE_FOLDER  where all of it is (default ~/.cache/penstock/engine); what is kept there makes the next run shorter
#   EXTRA_CA       a file of certificate authorities that the images' builds trust, where registries are behind a proxy
#   KEEP=1         leaves the fleet running
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${ENGINE_FOLDER:-${XDG_CACHE_HOME:-$HOME/.cache}/penstock/engine}
namespace=penstock-docker
root=$folder/root
certificates=/etc/ssl/certs/ca-certificates.crt
[[ $(id -u) == 0 ]] || { echo "make test-deploy: root is needed, for a network namespace" >&2; exit 1; }
# Programs in it are run as root, so nobody else may have put them there.
tests/deploy/private_folder.sh "$folder"
mkdir -p "$folder/debs" "$folder/bin"

# The engine's files, unpacked and not installed: no service starts, nothing of the system changes.
if [[ ! -x $root/usr/sbin/dockerd ]]; then
  apt-get update -qq
  (cd "$folder/debs" && apt-get download -qq docker.io containerd runc iptables tini libip4tc2 libip6tc2 libnftnl11 \
    libnetfilter-conntrack3 libnfnetlink0 libxtables12 mmdebstrap)
  for package in "$folder"/debs/*.deb; do dpkg -x "$package" "$root"; done
  ln -sf "$root/usr/sbin/xtables-nft-multi" "$folder/bin/iptables"
  ln -sf "$root/usr/sbin/xtables-nft-multi" "$folder/bin/ip6tables"
fi
export PATH=$folder/bin:$root/usr/bin:$root/usr/sbin:/usr/sbin:/sbin:$PATH
export LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu XTABLES_LIBDIR=$root/usr/lib/x86_64-linux-gnu/xtables
export DOCKER_HOST=unix://$folder/docker.sock

stop_engine() {
  local pid
  pid=$(cat "$folder/pid" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
}

start_engine() { # build: in the host's network, without bridge or rules; run: in the namespace
  stop_engine
  local options=(--data-root "$folder/data" --exec-root "$folder/exec" --host "$DOCKER_HOST" --pidfile "$folder/pid"
    --oom-score-adjust 0 --default-ulimit nofile=4096:4096)
  if [[ $1 == build ]]; then
    setsid dockerd "${options[@]}" --bridge none --iptables=false --ip6tables=false --ip-forward=false \
      >>"$folder/dockerd.log" 2>&1 &
  else
    ip netns list | grep -q "^$namespace" || ip netns add "$namespace"
    ip netns exec "$namespace" ip link set lo up
    setsid nsenter --net="/run/netns/$namespace" dockerd "${options[@]}" >>"$folder/dockerd.log" 2>&1 &
  fi
  for _ in $(seq 120); do
    docker version >/dev/null 2>&1 && return
    sleep 0.5
  done
  echo "the engine did not start: $folder/dockerd.log" >&2
  exit 1
}

python=.venv/bin/python
export PYTHONPATH=$PWD/libs:$PWD
program=$($python -c 'import compose, os; print(os.path.dirname(compose.__file__))')/docker-compose
export COMPOSE="$program --file $PWD/compose/compose.yaml"
export BUILD_NETWORK=host ELASTICSEARCH_HEAP=512m CASSANDRA_HEAP=512m

clean_up() {
  if [[ -z ${KEEP:-} ]]; then
    docker version >/dev/null 2>&1 && $COMPOSE --progress quiet --profile '*' down --volumes
    stop_engine
    ip netns list | grep -q "^$namespace" && ip netns delete "$namespace"
  fi
}
trap clean_up EXIT

start_engine build
if [[ -z $(docker images --quiet debian:bookworm-slim) ]]; then
  mmdebstrap --quiet --variant=minbase --include=ca-certificates bookworm "$folder/base.tar"
  docker import "$folder/base.tar" debian-plain:bookworm
  if [[ -n ${EXTRA_CA:-} ]]; then
    mkdir -p "$folder/base"
    cat "$certificates" "$EXTRA_CA" >"$folder/base/ca-certificates.crt"
    printf 'FROM debian-plain:bookworm\nCOPY ca-certificates.crt %s\nENV PIP_CERT=%s\n' $certificates $certificates \
      >"$folder/base/Dockerfile"
    DOCKER_BUILDKIT=0 docker build --quiet --tag debian:bookworm-slim "$folder/base"
  else
    docker tag debian-plain:bookworm debian:bookworm-slim
  fi
fi

$python tests/deploy/standins/stage.py "$folder/context"
image() { sed -n "s/^#$1_IMAGE=//p" compose/.env.example; }
for server in nats elasticsearch cassandra; do
  DOCKER_BUILDKIT=1 docker build --quiet --network host --target "$server" --tag "$(image "${server^^}")" "$folder/context"
done
$COMPOSE --progress quiet --profile '*' build

start_engine run
$python tests/deploy/journey.py
